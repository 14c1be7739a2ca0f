//! Signs that a log does not say what its figures seem to say.

use super::figures::{Client, Figures};
use crate::outcome::Failure;
use crate::table::grouped;

/// Maximum delay of a line in a log that is in order, in seconds. No request takes an hour.
const LATE: u64 = 60 * 60;

/// Minimum number of requests before a log can be suspected of naming its proxy.
const FEW: u64 = 100;

/// One address with this share of all requests, in per cent, may be a proxy.
const NEARLY_ALL: u64 = 90;

/// Why a log has no figures at all: it is not in order.
pub(super) fn no_figures(figures: &Figures) -> Option<Failure> {
    let out_of_order = figures.out_of_order;
    (out_of_order.lines_by_days > figures.requests / 2).then(|| {
        let lines = grouped(out_of_order.lines_by_days);
        let all = grouped(figures.requests);
        let days = out_of_order.most_seconds / (24 * 60 * 60);
        Failure::new(format!(
            "{lines} of {all} lines are older by days than a line before, by up to {days} days. \
             Name each file by itself (`replay access.log*`), or join the oldest first \
             (`zcat $(ls -v -r access.log.*.gz)`)"
        ))
    })
}

/// What is said beside the figures, a sentence each.
pub(super) fn warnings(figures: &Figures, reads_peer: bool) -> Vec<String> {
    let order = late(figures);
    let proxy = proxy(figures, reads_peer);
    order.into_iter().chain(proxy).collect()
}

fn late(figures: &Figures) -> Option<String> {
    let out_of_order = figures.out_of_order;
    (out_of_order.most_seconds > LATE).then(|| {
        let lines = grouped(out_of_order.lines);
        let seconds = grouped(out_of_order.most_seconds);
        format!(
            "{lines} lines are older than a line before, by up to {seconds} seconds: sort the log by \
             time, or name each file by itself"
        )
    })
}

fn proxy(figures: &Figures, reads_peer: bool) -> Option<String> {
    let clients = || figures.clients.values();
    let all: u64 = clients().map(|client| client.guarded).sum();
    let is_nearly_all = |part: u64| all >= FEW && part * 100 >= all * NEARLY_ALL;
    let non_public = clients().filter(|client| client.is_non_public);
    let non_public: u64 = non_public.map(|client| client.guarded).sum();
    let by_requests = |(_, client): &(_, &Client)| client.guarded;
    let (ip, first) = figures.clients.iter().max_by_key(by_requests)?;
    let what = if is_nearly_all(first.guarded) {
        let scope = if first.is_non_public {
            ", which is not public"
        } else {
            ""
        };
        format!("almost every request comes from {ip}{scope}: is that a proxy?")
    } else if is_nearly_all(non_public) {
        format!(
            "almost every request comes from an address that is not public, like {ip}: are these proxies?"
        )
    } else {
        return None;
    };
    let how = if reads_peer {
        " If the log has the client in another field, `--client-field` names it"
    } else {
        ""
    };
    Some(what + how)
}
