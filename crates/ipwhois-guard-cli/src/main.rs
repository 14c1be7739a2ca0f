//! The command `ipwhois-guard`; what it does is in the library, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    ipwhois_guard_cli::run()
}
