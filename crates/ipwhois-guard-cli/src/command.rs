//! The command line, and the way from it to an exit code.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::outcome::{Failure, Outcome, UNUSABLE};
use crate::{check, feed, replay, report};

/// Asks the IPWhois.net Blacklist about addresses, reports attackers, verifies its feed, and tells
/// from an access log what the guard would have done.
#[derive(Debug, Parser)]
#[command(name = "ipwhois-guard", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

/// One file a command.
#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Check),
    Feed(feed::FeedCommand),
    Replay(replay::Replay),
    Report(report::Report),
}

impl Command {
    /// What is logged to standard error unless `RUST_LOG` says otherwise. A replay's guard has
    /// nothing to say that the figures do not.
    const fn log_filter(&self) -> &'static str {
        match self {
            Self::Check(_) | Self::Feed(_) | Self::Report(_) => "warn",
            Self::Replay(_) => "error",
        }
    }

    fn run(self) -> Result<Outcome, Failure> {
        match self {
            Self::Check(check) => check.run(),
            Self::Feed(feed) => feed.run(),
            Self::Replay(replay) => replay.run(),
            Self::Report(report) => report.run(),
        }
    }
}

/// Runs the command that the process's arguments name, and says what to exit with.
#[must_use]
pub fn run() -> ExitCode {
    let command = CommandLine::parse().command;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(command.log_filter()));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
    match command.run() {
        Ok(outcome) => print(&outcome),
        Err(failure) => complain(&failure),
    }
}

fn print(outcome: &Outcome) -> ExitCode {
    let mut out = io::stdout().lock();
    let printed = out
        .write_all(outcome.text.as_bytes())
        .and_then(|()| out.flush());
    match printed {
        // Who reads only the beginning (`| head`) has what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&Failure::caused("cannot write to standard output", &error))
        }
        _ => ExitCode::from(outcome.code),
    }
}

fn complain(failure: &Failure) -> ExitCode {
    // Without standard error there is nobody to tell.
    let _ = writeln!(io::stderr(), "ipwhois-guard: {failure}");
    ExitCode::from(UNUSABLE)
}
