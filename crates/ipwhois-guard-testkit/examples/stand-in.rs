//! Serves a feed file as the blacklist, until standard input closes or ctrl-c is pressed.
//!
//! `stand-in --feed FILE [--confidence N] [--port N]`

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use ipwhois_guard_testkit::StandIn;

const USAGE: &str = "usage: stand-in --feed FILE [--confidence 0..100] [--port N]

  --feed FILE      the addresses to list, one a line, # for comments
  --confidence N   how sure the service says it is of them (default: 95)
  --port N         the port on 127.0.0.1 (default: a free one)";

#[derive(Debug, PartialEq, Eq)]
struct Options {
    feed: PathBuf,
    confidence: u8,
    port: u16,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("stand-in: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stand-in: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: Vec<String>) -> Result<Options, String> {
    let (mut feed, mut confidence, mut port) = (None, 95, 0);
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match name.as_str() {
            "--feed" => feed = Some(PathBuf::from(value()?)),
            "--confidence" => confidence = number(&name, &value()?, 100)?,
            "--port" => port = number(&name, &value()?, u16::MAX)?,
            _ => return Err(format!("`{name}` is no argument of this program")),
        }
    }
    Ok(Options {
        feed: feed.ok_or("--feed is missing")?,
        confidence,
        port,
    })
}

fn number<N>(name: &str, text: &str, most: N) -> Result<N, String>
where
    N: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match text.parse::<N>() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!("{name}: `{text}` is no number from 0 to {most}")),
    }
}

fn serve(options: &Options) -> Result<(), String> {
    let text = std::fs::read_to_string(&options.feed)
        .map_err(|error| format!("cannot read {}: {error}", options.feed.display()))?;
    let service = StandIn::start_on(options.port)
        .map_err(|error| format!("cannot listen on port {}: {error}", options.port))?;
    let listed = service.list_feed(&text, options.confidence);

    let mut out = io::stdout();
    let written = writeln!(
        out,
        "{listed} addresses listed with confidence {}\nAPI   {}\nfeed  {}",
        options.confidence,
        service.url(),
        service.feed_url(),
    );
    // Whoever reads the URLs from a pipe needs them now.
    written
        .and_then(|()| out.flush())
        .map_err(|error| format!("cannot write: {error}"))?;

    io::copy(&mut io::stdin(), &mut io::sink())
        .map_err(|error| format!("cannot read standard input: {error}"))?;
    Ok(())
}
