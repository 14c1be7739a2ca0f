//! A Redis server of the test's own.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipwhois_guard_core::store::SharedStore;
use ipwhois_guard_redis::RedisStore;
use redis::RedisResult;

/// So long something may take that is bound to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a busy machine may add to a deadline. Whatever blocked a thread would take longer.
pub(crate) const BUSY: Duration = Duration::from_secs(3);

/// An authority of the tests' own, and a server's certificate by it for 127.0.0.1.
pub(crate) const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls");

/// A server on a Unix socket, and on a port of loopback if it got one, without persistence. It ends
/// with this value, and with the process if that is killed.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    tls: bool,
    arguments: Vec<String>,
    running: Option<Running>,
}

struct Running {
    /// A shell that ends the server when its standard input is closed.
    shell: Child,
    pid: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let mut server = Self::new(arguments);
        server.run();
        server
    }

    /// One that is not running yet.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ipwhois-guard-redis-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the server");
        Self {
            folder,
            port: 0,
            tls: false,
            arguments: arguments
                .iter()
                .map(|&argument| argument.to_owned())
                .collect(),
            running: None,
        }
    }

    /// Listens on a port as well, from when it runs.
    pub(crate) fn with_port(mut self) -> Self {
        self.port = free_port();
        self
    }

    /// Listens on a port by TLS, with a certificate for 127.0.0.1.
    pub(crate) fn with_tls_port(mut self) -> Self {
        self.tls = true;
        self.with_port()
    }

    /// Its arguments begin with a file of settings, into which it writes.
    pub(crate) fn with_file(mut self, settings: &str) -> Self {
        std::fs::write(self.folder.join("settings"), settings).expect("a file of settings");
        self.arguments.insert(0, "settings".to_owned());
        self
    }

    pub(crate) fn run(&mut self) {
        let found = Command::new("redis-server").arg("--version").output();
        assert!(
            found.is_ok_and(|output| output.status.success()),
            "these tests need redis-server: on Debian, apt-get install redis-server (tests/run does it)"
        );
        let mut shell = Command::new("sh")
            .args([
                "-c",
                r#"redis-server "$@" >/dev/null & echo $!; cat >/dev/null; kill -9 $!; wait"#,
                "sh",
            ])
            .args(&self.arguments)
            .args(self.port_arguments())
            .args(["--save", "", "--appendonly", "no", "--logfile", "log"])
            .args(["--unixsocket", "socket", "--dir"])
            .arg(&self.folder)
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let output = shell.stdout.take().expect("it is piped");
        let mut pid = String::new();
        BufReader::new(output)
            .read_line(&mut pid)
            .expect("the server's id");
        let pid = pid.trim().to_owned();
        self.running = Some(Running { shell, pid });
        let begun = Instant::now();
        while self.tries::<()>(&["PING"]).is_err() {
            assert!(
                begun.elapsed() < PATIENCE,
                "the server starts: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn port_arguments(&self) -> Vec<String> {
        let port = self.port;
        let file = |name| format!("{TLS}/{name}");
        let arguments = if self.tls {
            format!(
                "--port 0 --tls-port {port} --tls-auth-clients no --tls-cert-file {} --tls-key-file {} \
                 --tls-ca-cert-file {}",
                file("server.pem"),
                file("server.key"),
                file("ca.pem")
            )
        } else {
            format!("--port {port}")
        };
        let arguments = format!("{arguments} --bind 127.0.0.1");
        arguments.split(' ').map(str::to_owned).collect()
    }

    pub(crate) fn stop(&mut self) {
        self.running = None;
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Where it listens beside its socket.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn store(&self) -> Arc<RedisStore> {
        store(&self.url())
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = &self.running.as_ref().expect("it runs").pid;
        let status = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", signal, pid])
            .status();
        assert!(status.expect("the shell runs").success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Adds a user with the password `secret` and the rights that the documentation says it needs,
    /// and `more`.
    pub(crate) fn add_user(&self, name: &str, more: &[&str]) {
        let user = ["ACL", "SETUSER", name, "on", ">secret"];
        let places = ["~ipwhois-guard:*", "&ipwhois-guard:*"];
        let commands = [
            "+eval",
            "+evalsha",
            "+script|load",
            "+subscribe",
            "+ping",
            "+publish",
            "+time",
            "+get",
            "+set",
            "+del",
            "+decr",
            "+pttl",
            "+type",
            "+pexpire",
            "+pexpireat",
            "+@sortedset",
        ];
        let _: () = self.does(&[&user[..], &places, &commands, more].concat());
    }

    /// Does a command beside the store.
    #[track_caller]
    pub(crate) fn does<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        match self.tries(command) {
            Ok(answer) => answer,
            Err(error) => panic!("{command:?}: {error}"),
        }
    }

    /// The same, when it may be in the way of something.
    pub(crate) fn tries<T: redis::FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        let mut connection = redis::Client::open(self.url())?.get_connection()?;
        redis::cmd(command[0])
            .arg(&command[1..])
            .query(&mut connection)
    }
}

/// A port where nobody listens, below those that the system gives to connections.
pub(crate) fn free_port() -> u16 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        // Each process begins elsewhere.
        let number = std::process::id() * 64 + NUMBER.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(20_000 + number % 12_000).expect("a port");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

#[track_caller]
pub(crate) fn store(url: &str) -> Arc<RedisStore> {
    Arc::new(RedisStore::connect(url).expect("a URL"))
}

/// Asks again until the answer is there.
#[track_caller]
pub(crate) fn until<T, F>(what: &'static str, mut ask: impl FnMut() -> F) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    async move {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Waits until the store answers again.
pub(crate) async fn back(store: &dyn SharedStore) {
    until("it works again by itself", || async {
        store.release([26, 0, 0, 99].into()).await.ok()
    })
    .await;
}

/// Listens, as often as it needs, until the server has a listener.
pub(crate) async fn listens_at(server: &Server, store: &dyn SharedStore) {
    let listening = async {
        loop {
            let _ = store.listen(&|_| ()).await;
        }
    };
    let told = until("it listens", || async {
        let (_, listeners): (String, u32) =
            server.does(&["PUBSUB", "NUMSUB", "ipwhois-guard:announcements:0"]);
        (listeners == 1).then_some(())
    });
    tokio::select! {
        () = listening => {}
        () = told => {}
    }
}
