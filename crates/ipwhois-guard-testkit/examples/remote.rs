//! The stand-in for tests in other languages: it takes one command a line from standard input, and
//! answers each with one line. It ends when standard input closes.
//!
//! The first line of its output is the base URL. Commands: `list ADDR CONFIDENCE`, `feed ADDR...`,
//! `behave normal | hang | held | reset | html | status N | delay MS | json TEXT`, `release`,
//! `refuse`, `accept`, `forget`, `checks [ADDR]`, `reports`, `wait-checks N`, `wait-reports N`.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use ipwhois_guard_testkit::{Behaviour, StandIn};

const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let service = match StandIn::start() {
        Ok(service) => service,
        Err(error) => {
            eprintln!("remote: {error}");
            return ExitCode::FAILURE;
        }
    };
    say(&service.url());
    for line in io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match obey(&service, command, rest) {
            Some(answer) => say(&answer),
            None => say(&format!("error: {line}")),
        }
    }
    ExitCode::SUCCESS
}

fn say(line: &str) {
    println!("{line}");
    // Without a reader there is nothing left to do.
    let _ = io::stdout().flush();
}

fn obey(service: &StandIn, command: &str, rest: &str) -> Option<String> {
    match command {
        "list" => {
            let (address, confidence) = rest.split_once(' ')?;
            service.list(address.parse().ok()?, confidence.parse().ok()?);
        }
        "feed" => service.set_feed(&rest.replace(' ', "\n")),
        "behave" => service.behave(behaviour(rest)?),
        "release" => service.release(),
        "refuse" => service.refuse_connections(),
        "accept" => service.accept_connections(),
        "forget" => service.forget(),
        "checks" if rest.is_empty() => return Some(service.check_count().to_string()),
        "checks" => return Some(service.checks_of(rest.parse().ok()?).to_string()),
        "reports" => {
            let reports = service.reports();
            let reports = reports
                .iter()
                .map(|report| format!("{} {}", report.ip, report.threat_type));
            return Some(reports.collect::<Vec<_>>().join(", "));
        }
        "wait-checks" => {
            let arrived = service.wait_for_checks(rest.parse().ok()?, PATIENCE);
            return Some(arrived.to_string());
        }
        "wait-reports" => {
            let arrived = service.wait_for_reports(rest.parse().ok()?, PATIENCE);
            return Some(arrived.to_string());
        }
        _ => return None,
    }
    Some("ok".to_owned())
}

fn behaviour(text: &str) -> Option<Behaviour> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match word {
        "normal" => Behaviour::Normal,
        "hang" => Behaviour::Hang,
        "held" => Behaviour::Held,
        "reset" => Behaviour::Reset,
        "html" => Behaviour::html(),
        "status" => Behaviour::status(rest.parse().ok()?),
        "delay" => Behaviour::Delay(Duration::from_millis(rest.parse().ok()?)),
        "json" => Behaviour::json(rest),
        _ => return None,
    })
}
