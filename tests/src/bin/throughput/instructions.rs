//! Instructions of the server for one request, counted by callgrind.
//!
//! The server runs in a process of its own, so that the client's work is not counted. Start and end
//! of that process cancel out: it is run with few requests and with many.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use conformance::driver::Address;

use crate::Framework;
use crate::load::one_connection;

/// The argument with which this program serves for one that counts.
pub(crate) const SERVE: &str = "serve";

const GUARDED: &str = "guarded";
const UNGUARDED: &str = "unguarded";

/// More than the first ones, at which a guard looks more closely.
const FEW: usize = 1_000;
const MANY: usize = 6_000;

pub(crate) fn compare(frameworks: &[Framework]) {
    println!("framework   instructions a request: unguarded, guarded   the guard's");
    for framework in frameworks {
        let of = |which| a_request(framework.name, which);
        let (without, with) = (of(UNGUARDED), of(GUARDED));
        println!(
            "{:<11} {without:34} {with:9} {:13}",
            framework.name,
            with - without
        );
    }
}

fn a_request(framework: &str, which: &str) -> i64 {
    let counted = |requests| {
        let counted = count(framework, which, requests);
        i64::try_from(counted).expect("not so many")
    };
    (counted(MANY) - counted(FEW)) / (MANY - FEW) as i64
}

/// All instructions of a server that answers so many requests.
fn count(framework: &str, which: &str, requests: usize) -> u64 {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([SERVE, framework, which])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("valgrind is installed (Debian: apt-get install valgrind)");
    let output = child.stdout.take().expect("its output");
    let address: SocketAddr = BufReader::new(output)
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.parse().ok())
        .expect("it says where it listens");
    one_connection(address, requests);
    // It ends with its input.
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it ran to its end:\n{text}");
    text.lines()
        .find_map(|line| line.split_once("Collected : "))
        .and_then(|(_, count)| count.trim().parse().ok())
        .unwrap_or_else(|| panic!("callgrind counted nothing:\n{text}"))
}

/// Serves until the input ends.
pub(crate) fn serve(frameworks: &[Framework], framework: &str, which: &str) {
    let framework = frameworks
        .iter()
        .find(|known| known.name == framework)
        .expect("a framework's name");
    let bench = match which {
        GUARDED => framework.guarded(),
        UNGUARDED => framework.unguarded(),
        _ => panic!("`{GUARDED}` or `{UNGUARDED}`"),
    };
    let Address::Tcp(address) = *bench.address() else {
        unreachable!("TCP was asked for");
    };
    let mut output = io::stdout();
    writeln!(output, "{address}").expect("whoever counts reads it");
    output.flush().expect("whoever counts reads it");
    let _ = io::stdin().read_to_end(&mut Vec::new());
}
