//! One application in a process of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

/// The argument with which this program serves.
pub(crate) const SERVE: &str = "serve";

/// The server's core, and its client's.
pub(crate) const SERVER_CORE: &str = "0";
pub(crate) const CLIENT_CORE: &str = "1";

/// A server. Dropping it ends it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Server {
    /// Runs this program as the server of a framework, below another program.
    pub(crate) fn start(below: &[&str], [framework, which]: [&str; 2]) -> Self {
        let (program, arguments) = below.split_first().expect("a program");
        let mut child = Command::new(program)
            .args(arguments)
            .arg(std::env::current_exe().expect("this program"))
            .args([SERVE, framework, which])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("`{program}` cannot be started: {error}"));
        let output = child.stdout.take().expect("its output");
        let address = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.parse().ok())
            .expect("it says where it listens");
        Self { address, child }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it says at its end.
    pub(crate) fn end(mut self) -> Output {
        drop(self.child.stdin.take());
        let mut said = Vec::new();
        let errors = self.child.stderr.as_mut().expect("its errors");
        errors.read_to_end(&mut said).expect("its errors");
        Output {
            status: self.child.wait().expect("it ends"),
            stdout: Vec::new(),
            stderr: said,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It ends with its input, or is ended.
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says where this process listens, and waits for the end of its input.
pub(crate) fn serve_until_input_ends(address: SocketAddr) {
    let mut output = io::stdout();
    let said = writeln!(output, "{address}").and_then(|()| output.flush());
    said.expect("the parent reads it");
    let _ = io::stdin().read_to_end(&mut Vec::new());
}
