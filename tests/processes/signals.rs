//! Signals that ask a server to reload, and those that ask it to end.

use std::process::Command;

use conformance::client::Request;
use conformance::process::Process;

use super::{PATIENCE, until};

fn signal(process: &Process, signal: &str) {
    let id = process.id().to_string();
    let status = Command::new("kill").args([signal, &id]).status();
    assert!(status.is_ok_and(|status| status.success()), "{signal}");
}

fn answers(process: &Process) -> bool {
    let answer = Request::get("/").try_send(&process.address);
    answer.is_ok_and(|answer| answer.status == 200)
}

#[test]
fn a_signal_to_reload_ends_no_example_app() {
    for framework in ["actix", "axum", "rocket", "warp"] {
        let process = Process::start(framework, &[]);
        for name in ["-HUP", "-USR1", "-USR2"] {
            signal(&process, name);
            for _ in 0..10 {
                assert!(answers(&process), "{framework} after {name}");
            }
        }
        signal(&process, "-TERM");
        until("it ends", PATIENCE, || !answers(&process));
    }
}
