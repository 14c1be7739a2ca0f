//! The figures of a replay, as JSON and as text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use jiff::civil::Date;
use serde::Serialize;

use super::figures::{Client, Explained, Figures, MalformedLine, OutOfOrder};
use super::published::PublishedModule;
use crate::table::{Align, Table, grouped, percent};

/// Everything that is printed. The JSON has the fields in this order; the README says what they
/// mean.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    requests: u64,
    clients: u64,
    days: u64,
    malformed: u64,
    first_malformed: Vec<MalformedLine>,
    out_of_order: OutOfOrder,
    trailing_bytes: u64,
    /// Doubts about the log, a sentence each.
    pub(super) warnings: Vec<String>,
    not_http: u64,
    out_of_scope: u64,
    daily_budget: u32,
    checks: u64,
    checks_per_day: BTreeMap<String, u64>,
    denied: u64,
    denied_clients: u64,
    denied_by_client: BTreeMap<IpAddr, u64>,
    false_denials: u64,
    unverified: BTreeMap<&'static str, u64>,
    denied_unverified: u64,
    listed_clients: u64,
    listed_clients_denied: u64,
    listed_requests: u64,
    recall: Option<f64>,
    clairvoyant_recall: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explained_client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explained: Option<Vec<Explained>>,
    /// The requests of the explained client, and those of them that were denied.
    #[serde(skip)]
    of_explained: (u64, u64),
    by_listed_client: BTreeMap<IpAddr, OfClient>,
    published_module: Published,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct OfClient {
    requests: u64,
    denied: u64,
    published_denied: u64,
}

#[derive(Debug, Serialize)]
struct Published {
    calls: u64,
    checks_per_day: BTreeMap<String, u64>,
    calls_wanted: u64,
    calls_wanted_per_day: BTreeMap<String, u64>,
    denied: u64,
    denied_clients: u64,
    false_denials: u64,
    recall: Option<f64>,
}

impl Report {
    pub(super) fn new(
        daily_budget: u32,
        figures: Figures,
        warnings: Vec<String>,
        checks: &BTreeMap<Date, u64>,
        published: &PublishedModule,
        explain: Option<IpAddr>,
    ) -> Self {
        let sum = |of: &dyn Fn(&Client) -> u64| figures.clients.values().map(of).sum::<u64>();
        let count = |is: &dyn Fn(&Client) -> bool| sum(&|client| u64::from(is(client)));
        let per_day = |of: &dyn Fn(Date) -> u64| -> BTreeMap<String, u64> {
            let days = figures.days.iter();
            days.map(|&day| (day.to_string(), of(day))).collect()
        };
        let published_day = |day| published.days.get(&day).copied().unwrap_or_default();
        let listed = |client: &Client, n: u64| if client.is_listed { n } else { 0 };
        let listed_requests = sum(&|client| listed(client, client.guarded));
        let listed_denied = sum(&|client| listed(client, client.denied));
        let published_denied = sum(&Client::denied_by_published);
        let published_module = Published {
            calls: published.days.values().map(|day| day.answered).sum(),
            checks_per_day: per_day(&|day| published_day(day).answered),
            calls_wanted: published.days.values().map(|day| day.wanted).sum(),
            calls_wanted_per_day: per_day(&|day| published_day(day).wanted),
            denied: published_denied,
            denied_clients: count(&|client| client.denied_by_published() > 0),
            // It knows of nobody that is not listed.
            false_denials: 0,
            recall: share(published_denied, listed_requests),
        };
        Self {
            requests: figures.requests,
            clients: figures.clients.len() as u64,
            days: figures.days.len() as u64,
            malformed: figures.malformed,
            out_of_order: figures.out_of_order,
            trailing_bytes: figures.trailing_bytes,
            warnings,
            not_http: figures.not_http,
            out_of_scope: figures.out_of_scope,
            daily_budget,
            checks: checks.values().sum(),
            checks_per_day: per_day(&|day| checks.get(&day).copied().unwrap_or(0)),
            denied: sum(&|client| client.denied),
            denied_clients: count(&|client| client.denied > 0),
            denied_by_client: by_client(&figures, |client| client.denied > 0, |c| c.denied),
            false_denials: sum(&|client| client.denied) - listed_denied,
            denied_unverified: sum(&|client| client.denied_unverified),
            listed_clients: count(&|client| client.is_listed),
            listed_clients_denied: count(&|client| client.is_listed && client.denied > 0),
            listed_requests,
            recall: share(listed_denied, listed_requests),
            clairvoyant_recall: share(figures.clairvoyant(daily_budget), listed_requests),
            by_listed_client: by_client(&figures, |client| client.is_listed, OfClient::of),
            published_module,
            of_explained: explain
                .and_then(|ip| figures.clients.get(&ip))
                .map_or((0, 0), |client| (client.guarded, client.denied)),
            explained_client: explain,
            explained: explain.map(|_| figures.explained),
            unverified: figures.unverified,
            first_malformed: figures.first_malformed,
        }
    }

    /// The figures for people, with the `top` clients that were denied most.
    pub(super) fn text(&self, top: usize) -> String {
        let mut text = self.about_the_log();
        text.push('\n');
        text.push_str(&self.comparison());
        if !self.unverified.is_empty() {
            text.push_str("\nrequests of unverified clients, by reason\n");
            for (reason, &count) in &self.unverified {
                line(&mut text, &format!("  {reason}: {}", grouped(count)));
            }
        }
        if let (Some(client), Some(explained)) = (self.explained_client, &self.explained) {
            text.push('\n');
            text.push_str(&self.explanation(client, explained));
        }
        if top > 0 && !self.denied_by_client.is_empty() {
            text.push('\n');
            text.push_str(&self.denied_table(top));
        }
        text
    }

    fn about_the_log(&self) -> String {
        let mut text = String::new();
        let mut days = self.checks_per_day.keys();
        let days = match (days.next(), days.next_back()) {
            (Some(first), Some(last)) => format!("{first} to {last}"),
            (Some(only), None) => only.clone(),
            (None, _) => "none".to_owned(),
        };
        for (what, figure) in [
            ("requests", grouped(self.requests)),
            ("clients", grouped(self.clients)),
            ("UTC days", days),
        ] {
            line(&mut text, &format!("{what}: {figure}"));
        }
        for (what, count) in [
            (
                "no HTTP request, so it reaches no application",
                self.not_http,
            ),
            ("out of scope", self.out_of_scope),
            ("malformed lines, passed over", self.malformed),
        ] {
            if count > 0 {
                line(&mut text, &format!("{what}: {}", grouped(count)));
            }
        }
        for bad in &self.first_malformed {
            let file = bad.file.as_ref().map(|file| format!("{file}, "));
            let file = file.unwrap_or_default();
            let shown = format!("  {file}line {} {}: `{}`", bad.line, bad.reason, bad.text);
            line(&mut text, &shown);
        }
        let OutOfOrder {
            lines,
            most_seconds,
            ..
        } = self.out_of_order;
        if lines > 0 {
            let note = format!(
                "older than a line before, and taken as of its time: {}, by {} s at most",
                grouped(lines),
                grouped(most_seconds)
            );
            line(&mut text, &note);
        }
        if self.trailing_bytes > 0 {
            let bytes = grouped(self.trailing_bytes);
            let note = format!("bytes behind the compressed log, passed over: {bytes}");
            line(&mut text, &note);
        }
        text
    }

    fn comparison(&self) -> String {
        let published = &self.published_module;
        let mut table = Table::new([
            ("", Align::Left),
            ("this guard", Align::Right),
            ("published module", Align::Right),
            ("calls it wanted", Align::Right),
        ]);
        let mut row = |name: &str, ours: String, theirs: String, wanted: String| {
            table.row([name.to_owned(), ours, theirs, wanted]);
        };
        let none = String::new;
        for (day, &checks) in &self.checks_per_day {
            let of = |days: &BTreeMap<String, u64>| days.get(day).copied().unwrap_or(0);
            row(
                &format!("checks on {day}, of {}", grouped(self.daily_budget.into())),
                grouped(checks),
                grouped(of(&published.checks_per_day)),
                grouped(of(&published.calls_wanted_per_day)),
            );
        }
        row(
            "checks",
            grouped(self.checks),
            grouped(published.calls),
            grouped(published.calls_wanted),
        );
        for (name, ours, theirs) in [
            ("denied requests", self.denied, published.denied),
            (
                "denied clients",
                self.denied_clients,
                published.denied_clients,
            ),
            ("false denials", self.false_denials, published.false_denials),
            ("denied as not verified", self.denied_unverified, 0),
        ] {
            row(name, grouped(ours), grouped(theirs), none());
        }
        let recall = |denied| percent(denied, self.listed_requests);
        let (all, clients) = (grouped(self.listed_requests), grouped(self.listed_clients));
        row(
            &format!("recall: denied of {all} requests of listed clients"),
            recall(self.denied - self.false_denials),
            recall(published.denied),
            none(),
        );
        row(
            &format!("listed clients denied, of {clients}"),
            grouped(self.listed_clients_denied),
            grouped(published.denied_clients),
            none(),
        );
        table.render()
    }

    /// Each decision to check the client or not, in the log's order.
    fn explanation(&self, client: IpAddr, explained: &[Explained]) -> String {
        let (requests, denied) = self.of_explained;
        if requests == 0 {
            return format!("{client} makes no request in this log that the guard decides\n");
        }
        let mut text = format!(
            "{client}: {} requests, {} denied, {} without a verdict\n",
            grouped(requests),
            grouped(denied),
            grouped(explained.len() as u64)
        );
        if explained.is_empty() {
            text.push_str(
                "Each time a verdict was known or the feed decided, so no score was needed.\n",
            );
            return text;
        }
        let mut table = Table::new([
            ("time", Align::Left),
            ("signs", Align::Left),
            ("recent requests", Align::Right),
            ("P(listed)", Align::Right),
            ("score", Align::Right),
            ("price", Align::Right),
            ("outcome", Align::Left),
            ("request", Align::Left),
        ]);
        for why in explained {
            table.row([
                why.time.clone(),
                why.signs.clone(),
                format!("{:.1}", why.requests),
                format!("{:.0} %", 100.0 * why.probability),
                format!("{:.2}", why.score),
                format!("{:.2}", why.price),
                in_words(why),
                why.request.clone(),
            ]);
        }
        text.push_str(&table.render());
        text.push_str(LEGEND);
        text
    }

    /// What is compared between limits.
    pub(super) fn comparison_at_limit(&self) -> Comparison {
        Comparison {
            daily_budget: self.daily_budget,
            recall: self.recall,
            published_recall: self.published_module.recall,
            clairvoyant_recall: self.clairvoyant_recall,
            most_checks: self.checks_per_day.values().copied().max().unwrap_or(0),
            false_denials: self.false_denials,
        }
    }

    fn denied_table(&self, top: usize) -> String {
        let mut clients: Vec<(IpAddr, u64)> = self
            .denied_by_client
            .iter()
            .map(|(&client, &denied)| (client, denied))
            .collect();
        // Stable: those with as many stay in the order of their addresses.
        clients.sort_by_key(|&(_, denied)| std::cmp::Reverse(denied));
        let mut table = Table::new([
            ("denied client", Align::Left),
            ("denied", Align::Right),
            ("of requests", Align::Right),
            ("by the published module", Align::Right),
        ]);
        for (client, denied) in clients.iter().take(top) {
            let of = self.by_listed_client.get(client);
            let figure = |figure: fn(&OfClient) -> u64| match of {
                Some(of) => grouped(figure(of)),
                None => "not listed".to_owned(),
            };
            table.row([
                client.to_string(),
                grouped(*denied),
                figure(|of| of.requests),
                figure(|of| of.published_denied),
            ]);
        }
        let mut text = table.render();
        if let Some(more @ 1..) = clients.len().checked_sub(top) {
            line(&mut text, &format!("and {} more", grouped(more as u64)));
        }
        text
    }
}

const LEGEND: &str = "\
score: the requests that a check of the client now is expected to deny
price: the lowest score that is worth one of the day's remaining checks
A client is checked when its score is not below the price and its network has not had its ration.
";

/// What came of one request without a verdict, and why.
fn in_words(why: &Explained) -> String {
    match why.outcome {
        "checked" => "checked".to_owned(),
        "too dear" => "not checked: the score is below the price".to_owned(),
        reason => format!("not checked: {reason}"),
    }
}

/// The figures of a replay at one limit.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    daily_budget: u32,
    recall: Option<f64>,
    published_recall: Option<f64>,
    clairvoyant_recall: Option<f64>,
    most_checks: u64,
    false_denials: u64,
}

/// A table with a row for each limit.
pub(super) fn comparisons(comparisons: &[Comparison]) -> String {
    let columns = [
        "checks a day",
        "this guard",
        "published module",
        "clairvoyant",
        "most checks on a day",
        "false denials",
    ];
    let mut table = Table::new(columns.map(|name| (name, Align::Right)));
    let recall = |recall: Option<f64>| {
        recall.map_or_else(
            || "-".to_owned(),
            |recall| format!("{:.2} %", 100.0 * recall),
        )
    };
    for at in comparisons {
        table.row([
            grouped(at.daily_budget.into()),
            recall(at.recall),
            recall(at.published_recall),
            recall(at.clairvoyant_recall),
            grouped(at.most_checks),
            grouped(at.false_denials),
        ]);
    }
    table.render()
}

impl OfClient {
    const fn of(client: &Client) -> Self {
        Self {
            requests: client.guarded,
            denied: client.denied,
            published_denied: client.denied_by_published(),
        }
    }
}

fn by_client<T>(
    figures: &Figures,
    is_meant: impl Fn(&Client) -> bool,
    of: impl Fn(&Client) -> T,
) -> BTreeMap<IpAddr, T> {
    let meant = figures
        .clients
        .iter()
        .filter(|(_, client)| is_meant(client));
    meant.map(|(&ip, client)| (ip, of(client))).collect()
}

/// `None` when there is nothing to have a share of.
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn line(text: &mut String, content: &str) {
    let written = writeln!(text, "{content}");
    debug_assert!(written.is_ok(), "a string takes everything");
}
