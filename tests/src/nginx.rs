//! An nginx of the test's own, in front of some servers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::driver::Address;

/// How long nginx may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx. Dropping it kills it.
#[derive(Debug)]
pub struct Nginx {
    /// Where it listens.
    pub address: Address,
    folder: TempDir,
    child: Child,
}

impl Nginx {
    /// Starts one in front of these servers. It stops using a server as nginx does by default:
    /// after one failure, for ten seconds. It passes on the client's `X-Forwarded-For`.
    ///
    /// # Panics
    /// When `nginx` is missing, or does not come up.
    #[must_use]
    pub fn start(servers: &[&Address]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address();
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration(address, servers)).expect("a file");
        // An ordinary user's path lacks it on Debian.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let child = Command::new("nginx")
            .env("PATH", path)
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            // Its compiled-in log belongs to the system.
            .args(["-e", "error.log"])
            .stdin(Stdio::null())
            .spawn()
            .expect("these tests need nginx: on Debian, apt-get install nginx-light (tests/run does it)");
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < PATIENCE, "nginx starts");
            thread::sleep(Duration::from_millis(5));
        }
        Self {
            address: Address::Tcp(address),
            folder,
            child,
        }
    }

    /// What it has logged of failures.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).expect("a log")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All files below the working folder, one process, and no change of user: root is not needed.
fn configuration(address: SocketAddr, servers: &[&Address]) -> String {
    let servers: String = servers
        .iter()
        .map(|server| match server {
            Address::Tcp(address) => format!("server {address};"),
            Address::Unix(path) => format!("server unix:{};", path.display()),
        })
        .collect();
    format!(
        "daemon off;
        master_process off;
        pid nginx.pid;
        error_log error.log error;
        events {{ worker_connections 512; }}
        http {{
            access_log off;
            client_max_body_size 100m;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            upstream app {{ {servers} }}
            server {{
                listen {address};
                location / {{
                    proxy_pass http://app;
                }}
            }}
        }}"
    )
}

/// Nothing listens there now.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}
