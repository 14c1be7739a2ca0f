//! `ipwhois-guard replay`: what the guard would have done with an access log.

mod clock;
mod doubts;
mod figures;
mod listed;
mod logs;
mod options;
mod published;
mod report;
mod service;
mod strays;

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use ipwhois_guard_core::{Guard, Guarded, Peer, RequestHead};

use self::clock::LogClock;
use self::figures::{Explained, Figures, MalformedLine};
use self::listed::Listed;
use self::logs::Log;
use self::options::Progress;
pub(crate) use self::options::Replay;
use self::published::PublishedModule;
use self::report::Report;
use self::service::CountingService;
use self::strays::{Held, Judged, Strays};
use crate::access_log::{
    self, ClientField, LONGEST, Line, Lines, Malformed, Request, day_of, timestamp,
};
use crate::input;
use crate::outcome::{Failure, Outcome, json};
use crate::unpack::Trailing;

impl Replay {
    pub(crate) fn run(self) -> Result<Outcome, Failure> {
        self.check()?;
        let listed = match &self.listed {
            Some(path) => Listed::read(path)?,
            None => Listed::default(),
        };
        if !self.limits.is_empty() {
            return self.compare(Arc::new(listed));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| Failure::caused("cannot start a runtime", &error))?;
        let report = runtime.block_on(self.replay(Arc::new(listed)))?;
        warn(&report);
        Ok(Outcome {
            code: 0,
            text: if self.json {
                json(&report)?
            } else {
                report.text(self.top)
            },
        })
    }

    /// One replay for each limit.
    fn compare(&self, listed: Arc<Listed>) -> Result<Outcome, Failure> {
        let mut comparisons = Vec::new();
        for &daily_budget in &self.limits {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .map_err(|error| Failure::caused("cannot start a runtime", &error))?;
            let at_limit = Self {
                daily_budget,
                ..self.clone()
            };
            let report = runtime.block_on(at_limit.replay(Arc::clone(&listed)))?;
            // The log is the same each time, and so are the doubts about it.
            if comparisons.is_empty() {
                warn(&report);
            }
            comparisons.push(report.comparison_at_limit());
        }
        Ok(Outcome {
            code: 0,
            text: if self.json {
                json(&comparisons)?
            } else {
                report::comparisons(&comparisons)
            },
        })
    }

    async fn replay(&self, listed: Arc<Listed>) -> Result<Report, Failure> {
        let progress = self.progress_bar();
        let trailing = Trailing::default();
        let mut logs = logs::in_order(&self.logs, self.client_field, &progress, &trailing)?;
        let names: Vec<String> = logs.iter().map(Log::name).collect();
        let mut strays = Strays::default();
        let mut replaying = Replaying::new(self, listed, &names);
        for (log, name) in names.iter().enumerate() {
            let mut lines = Lines::new(logs[log].open(&progress, &trailing)?);
            let mut number = 0;
            while let Some(text) = lines.next_line().map_err(|error| {
                Failure::caused(format!("cannot read {name} after line {number}"), &error)
            })? {
                number += 1;
                match access_log::parse_with(text, self.client_field) {
                    Ok(line) if !strays::is_possible(line.time) => {
                        replaying.malformed(log, number, strays::NO_TIME, text);
                    }
                    Ok(line) if strays.passes(line.time) => replaying.line(&line).await?,
                    Ok(line) => {
                        let held = Held {
                            log,
                            number,
                            time: line.time,
                            text: text.to_vec(),
                        };
                        replaying.judged(strays.take(held)).await?;
                    }
                    Err(_) if text.trim_ascii().is_empty() => {}
                    Err(malformed) => {
                        replaying.malformed(log, number, reason(malformed, text), text);
                    }
                }
            }
        }
        replaying.judged(strays.finish()).await?;
        progress.finish_and_clear();
        replaying.figures.trailing_bytes = trailing.bytes();
        if let Some(failure) = doubts::no_figures(&replaying.figures) {
            return Err(failure);
        }
        match replaying.running {
            Some(running) => Ok(running.report(replaying.figures)),
            None => Err(nothing_in(&names, &replaying.figures)),
        }
    }

    /// Begins at the time of the first line.
    async fn start(&self, first: &Line<'_>, listed: &Arc<Listed>) -> Result<Running, Failure> {
        let clock = LogClock::starting_at(first.time);
        let service = CountingService::new(Arc::clone(listed), clock.clone());
        let guard = self
            .guard()?
            .clock(clock.clone())
            .service(service.clone())
            .build()
            .map_err(|error| self.refused(error))?;
        guard.ready().await;
        self.check_feed_of(&guard)?;
        Ok(Running {
            daily_budget: self.daily_budget,
            explain: self.explain.map(|ip| ip.to_canonical()),
            reads_peer: self.client_field == ClientField::Peer,
            listed: Arc::clone(listed),
            published: PublishedModule::new(self.daily_budget),
            clock,
            service,
            guard,
        })
    }

    fn progress_bar(&self) -> ProgressBar {
        if self.progress == Progress::Never || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        // The length of what is no file is not known.
        let lengths = self.logs.iter().map(|log| {
            let file = std::fs::metadata(log).ok();
            let file = file.filter(std::fs::Metadata::is_file);
            file.map(|file| file.len())
        });
        let length: Option<u64> = lengths.sum();
        let (bar, template) = match length {
            Some(length) => (
                ProgressBar::new(length),
                "{bar:40} {bytes} of {total_bytes}, {eta} left",
            ),
            None => (ProgressBar::new_spinner(), "{spinner} {bytes}"),
        };
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

fn warn(report: &Report) {
    for warning in &report.warnings {
        let _ = writeln!(std::io::stderr(), "ipwhois-guard: warning: {warning}");
    }
}

fn nothing_in(names: &[String], figures: &Figures) -> Failure {
    match (figures.first_malformed.first(), names) {
        (Some(first), _) => Failure::new(format!(
            "{} has no line of an access log: line {} {}: `{}`",
            names[first.log], first.line, first.reason, first.text
        )),
        (None, [name]) => Failure::new(format!("{name} is empty: there is nothing to replay")),
        (None, _) => Failure::new("all logs are empty: there is nothing to replay"),
    }
}

/// Why a line is none, as far as it was read.
fn reason(malformed: Malformed, text: &[u8]) -> &'static str {
    if text.len() == LONGEST && malformed == Malformed::OpenRequest {
        "has a request that is longer than any server takes"
    } else {
        malformed.reason()
    }
}

/// A log that is being read.
struct Replaying<'r> {
    options: &'r Replay,
    /// The names of the logs, in order.
    names: &'r [String],
    listed: Arc<Listed>,
    figures: Figures,
    /// `None` before the first line of an access log.
    running: Option<Running>,
}

impl<'r> Replaying<'r> {
    fn new(options: &'r Replay, listed: Arc<Listed>, names: &'r [String]) -> Self {
        Self {
            options,
            names,
            listed,
            figures: Figures::default(),
            running: None,
        }
    }

    async fn line(&mut self, line: &Line<'_>) -> Result<(), Failure> {
        let running = match &mut self.running {
            Some(running) => running,
            none => none.insert(self.options.start(line, &self.listed).await?),
        };
        running.line(&mut self.figures, line).await;
        Ok(())
    }

    async fn judged(&mut self, judged: Vec<Judged>) -> Result<(), Failure> {
        for line in judged {
            match line {
                Judged::Good(held) => {
                    let field = self.options.client_field;
                    if let Ok(line) = access_log::parse_with(&held.text, field) {
                        self.line(&line).await?;
                    }
                }
                Judged::Stray(held) => {
                    self.malformed(held.log, held.number, strays::REASON, &held.text);
                }
            }
        }
        Ok(())
    }

    fn malformed(&mut self, log: usize, line: u64, reason: &'static str, text: &[u8]) {
        let names = self.names;
        self.figures.note_malformed(|| MalformedLine {
            log,
            file: (names.len() > 1).then(|| names[log].clone()),
            line,
            reason,
            text: input::printable(text),
        });
    }
}

/// A replay that has begun.
struct Running {
    daily_budget: u32,
    explain: Option<IpAddr>,
    reads_peer: bool,
    listed: Arc<Listed>,
    clock: LogClock,
    service: CountingService,
    guard: Guard,
    published: PublishedModule,
}

impl Running {
    async fn line(&mut self, figures: &mut Figures, line: &Line<'_>) {
        figures.out_of_order.note(line.time, self.clock.now());
        self.clock.reach(line.time);
        let now = self.clock.now();
        figures.days.insert(day_of(now));
        figures.client(line.client, || self.listed.lists(line.client));
        let Some(request) = line.request() else {
            figures.not_http += 1;
            return;
        };
        let head = Head {
            client: line.client,
            request: &request,
            user_agent: line.user_agent.as_deref().unwrap_or(UNKNOWN_AGENT),
            referrer: line.referrer.as_deref(),
        };
        let is_explained = self.explain == Some(line.client);
        if is_explained {
            // A neighbour's bid that is not told yet would pass for this client's.
            let _ = self.guard.last_bid(line.client);
        }
        let decision = self.guard.decide(&head).decision().await;
        if is_explained && let Some(why) = self.guard.last_bid(line.client) {
            figures.explained.push(Explained {
                time: timestamp(now),
                request: format!("{} {}", request.method, request.path),
                signs: why.signs,
                requests: why.requests,
                probability: why.probability,
                score: why.score,
                price: why.price,
                outcome: why.outcome,
            });
        }
        if decision.denial().is_none()
            && let Some(status) = line.status
        {
            Guarded::new(self.guard.clone(), decision).answered(status);
        }
        if figures.note_decision(line.client, &decision) {
            let client = figures.clients.entry(line.client).or_default();
            let is_known = self.published.knows(&mut client.kept_by_published, now);
            client.known_to_published += u64::from(is_known);
            if client.is_listed {
                let day = (day_of(now), line.client);
                *figures.listed_days.entry(day).or_default() += 1;
            }
        }
        // The clock must not move under a check that was begun before.
        self.guard.settled().await;
    }

    fn report(self, figures: Figures) -> Report {
        let checks = self.service.checks();
        let warnings = doubts::warnings(&figures, self.reads_peer);
        Report::new(
            self.daily_budget,
            figures,
            warnings,
            &checks,
            &self.published,
            self.explain,
        )
    }
}

/// A log in the common format does not say who clients were: that speaks against none of them.
const UNKNOWN_AGENT: &[u8] = b"unknown";

/// A line as a request.
struct Head<'l> {
    client: IpAddr,
    request: &'l Request<'l>,
    user_agent: &'l [u8],
    referrer: Option<&'l [u8]>,
}

impl RequestHead for Head<'_> {
    fn method(&self) -> &str {
        self.request.method
    }

    fn path(&self) -> &str {
        &self.request.path
    }

    fn peer(&self) -> Peer {
        Peer::Ip(self.client)
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let line = match name {
            "user-agent" => Some(self.user_agent),
            "referer" => self.referrer,
            _ => None,
        };
        line.into_iter()
    }
}
