//! An example app as a process of its own: what only a process can show, such as being killed and
//! started again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::driver::Address;

/// A running example app. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    /// Where it listens.
    pub address: Address,
    child: Child,
}

impl Process {
    /// Builds the example app of a framework, if that has not been done, and starts it on a free
    /// port, with nothing but these settings in its environment: the names are those after
    /// `IPWHOIS_GUARD_`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(framework: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_in(framework, settings, &[])
    }

    /// The same with more in its environment.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_in(
        framework: &str,
        settings: &[(&str, &str)],
        environment: &[(&str, &str)],
    ) -> Self {
        let settings = settings
            .iter()
            .map(|(name, value)| (format!("IPWHOIS_GUARD_{name}"), value));
        let mut child = Command::new(executable(framework))
            .env_clear()
            .env("PORT", "0")
            .env("RUST_LOG", "off")
            .envs(settings)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let output = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        let address: SocketAddr = lines
            .find_map(|line| {
                let line = line.expect("its output is text");
                line.strip_prefix("listening on http://")?.parse().ok()
            })
            .expect("it says where it listens");
        // What it says from now on must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            address: Address::Tcp(address),
            child,
        }
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it ends by itself within this time, last words included.
    ///
    /// # Panics
    /// When the system does not let us.
    #[must_use]
    pub fn ends(&mut self, within: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < within {
            if self.child.try_wait().expect("it is ours").is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Kills it: SIGKILL, so that it has no last words.
    ///
    /// # Panics
    /// When the system does not let us.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is ours to kill");
        self.child.wait().expect("it ended");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a process a signal, such as `KILL` or `STOP`. The shell does it: `kill` as a program of
/// its own is missing on small machines.
///
/// # Panics
/// When there is no such process, or the system refuses.
pub fn signal(id: u32, signal: &str) {
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", signal, &id.to_string()])
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "kill -s {signal} {id}"
    );
}

/// The path of the example's binary, built once.
fn executable(framework: &str) -> PathBuf {
    static BUILT: LazyLock<Mutex<HashMap<String, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let package = format!("example-{framework}");
    built
        .entry(package.clone())
        .or_insert_with(|| build(&package))
        .clone()
}

fn build(package: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--offline", "--message-format=json"])
        .args(["--package", package])
        .current_dir(tests)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{package} does not build");
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == package)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the executable")
}
