//! A Redis server of the test's own, and a TCP server in front of it that breaks off.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::process;

/// So long something may take that is bound to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server on a free port of loopback, without persistence. Dropping it kills it.
#[derive(Debug)]
pub struct Redis {
    address: SocketAddr,
    running: Option<Child>,
}

impl Redis {
    /// Starts one.
    ///
    /// # Panics
    /// When `redis-server` is missing, or does not come up.
    #[must_use]
    pub fn start() -> Self {
        let mut server = Self {
            address: free_address(),
            running: None,
        };
        server.run();
        server
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The setting `redis_url`.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Starts it again, empty and where it was.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn run(&mut self) {
        let begun = Instant::now();
        let mut child = self.spawn();
        while self.ask(&["PING"]).is_err() {
            assert!(begun.elapsed() < PATIENCE, "redis-server starts");
            // Somebody may have the port for a moment.
            if child.try_wait().expect("it is ours").is_some() {
                child = self.spawn();
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.running = Some(child);
    }

    fn spawn(&self) -> Child {
        let port = self.address.port().to_string();
        Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port])
            .args(["--save", "", "--appendonly", "no", "--logfile", ""])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("these tests need redis-server: on Debian, apt-get install redis-server (tests/run does it)")
    }

    /// Kills it: SIGKILL.
    ///
    /// # Panics
    /// When the system does not let us.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().expect("it is ours to kill");
            child.wait().expect("it ended");
        }
    }

    /// Sends it a signal: `STOP`, `CONT`.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: &str) {
        process::signal(self.running.as_ref().expect("it runs").id(), signal);
    }

    /// The answer to a command, as its lines on the wire, of which the last tells what is of
    /// interest here.
    ///
    /// # Panics
    /// When it is an error, or there is none.
    #[must_use]
    pub fn does(&self, command: &[&str]) -> String {
        let answer = self.ask(command).expect("it answers");
        assert!(!answer.starts_with('-'), "{command:?}: {answer}");
        answer
    }

    /// Answers a number or a line. Of a list it answers the last part.
    fn ask(&self, command: &[&str]) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = format!("*{}\r\n", command.len());
        for part in command {
            text.push_str(&format!("${}\r\n{part}\r\n", part.len()));
        }
        stream.write_all(text.as_bytes())?;
        read_answer(&mut BufReader::new(stream))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn read_answer(from: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end();
    let length = || line[1..].parse::<usize>().unwrap_or(0);
    match line.as_bytes().first() {
        Some(b'*') => (0..length()).try_fold(String::new(), |_, _| read_answer(from)),
        Some(b'$') if line == "$-1" => Ok(String::new()),
        Some(b'$') => {
            let mut text = vec![0; length() + 2];
            from.read_exact(&mut text)?;
            text.truncate(text.len() - 2);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        Some(b':' | b'+') => Ok(line[1..].to_owned()),
        _ => Ok(line.to_owned()),
    }
}

/// A TCP server in front of another one, which breaks off in the middle of a reply when it is told
/// to. Its threads end with their connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    cuts: Arc<AtomicBool>,
}

impl Proxy {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let cuts = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&cuts);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else {
                    continue;
                };
                let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone())
                else {
                    continue;
                };
                let never = Arc::new(AtomicBool::new(false));
                thread::spawn(move || pass(from_client, to_server, &never));
                let told = Arc::clone(&told);
                thread::spawn(move || pass(server, client, &told));
            }
        });
        Self { address, cuts }
    }

    /// The setting `redis_url`.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Whether each reply from now on is cut in half, and its connection closed.
    pub fn cut(&self, cuts: bool) {
        self.cuts.store(cuts, Ordering::SeqCst);
    }
}

/// Passes bytes on until one side ends; then both do.
fn pass(mut from: TcpStream, mut to: TcpStream, cuts: &AtomicBool) {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut bytes).unwrap_or(0);
        let cut = cuts.load(Ordering::SeqCst);
        let part = if cut { length / 2 } else { length };
        if to.write_all(&bytes[..part]).is_err() || length == 0 || cut {
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn url(address: SocketAddr) -> String {
    format!("redis://{address}")
}

/// Nobody listens there now.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}
