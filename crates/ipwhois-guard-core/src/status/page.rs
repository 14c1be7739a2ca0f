//! What the page shows, from top to bottom.

use std::net::IpAddr;
use std::time::Duration;

use humantime::format_rfc3339_seconds;

use super::access::Access;
use super::chart;
use super::html::{Html, html};
use crate::guard::{Explanation, Guard, Outlook, StatusData, Viewer};
use crate::observe::{HealthStatus, Refusal};
use crate::rules::Mode;

/// A page for one viewer.
pub(super) struct View<'p> {
    pub(super) guard: &'p Guard,
    pub(super) viewer: Viewer,
    pub(super) access: Option<&'p Access>,
    /// Whether the viewer has the token.
    pub(super) is_admitted: bool,
    /// The reference or the address to explain.
    pub(super) explain: Option<String>,
    pub(super) nonce: &'p str,
}

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

impl View<'_> {
    pub(super) fn render(&self) -> String {
        let data = self.guard.status();
        let mut page = Html::new(!self.is_admitted);
        let page = &mut page;
        html!(page; "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
            "<meta name=\"robots\" content=\"noindex\"><meta name=\"color-scheme\" content=\"light dark\">"
            "<link rel=\"icon\" href=\"data:,\"><title>ipwhois-guard</title><style nonce=\"");
        page.unmasked(self.nonce);
        html!(page; "\">");
        page.markup(STYLE);
        html!(page; "</style></head><body>");
        live(page, "top", |page| self.top(page, &data));
        html!(page; "<main>");
        live(page, "budget", |page| budget(page, &data));
        live(page, "requests", |page| requests(page, &data));
        self.explain_form(page);
        live(page, "refusals", |page| self.refusals(page, &data));
        live(page, "bans", |page| self.bans(page, &data));
        live(page, "parts", |page| parts(page, &data));
        self.you(page);
        html!(page; "</main><script nonce=\"");
        page.unmasked(self.nonce);
        html!(page; "\">");
        page.markup(SCRIPT);
        html!(page; "</script></body></html>\n");
        std::mem::replace(page, Html::new(true)).finish()
    }

    fn top(&self, page: &mut Html, data: &StatusData) {
        let well = data.health.status == HealthStatus::Ok;
        let is_enforced = data.health.mode == Mode::Enforce;
        html!(page; "<p class=\"sentence ");
        page.markup(match (well, is_enforced) {
            (true, true) => "well",
            (true, false) => "idle",
            (false, _) => "ill",
        });
        html!(page; "\"><span class=\"dot\"></span>" [&data.sentence] "</p><p class=\"facts\">ipwhois-guard "
            (env!("CARGO_PKG_VERSION")) " &middot; mode <b>" (data.health.mode) "</b> &middot; "
            (format_rfc3339_seconds(data.time)) "</p>");
        if !data.health.problems.is_empty() {
            html!(page; "<ul class=\"problems\">");
            for problem in &data.health.problems {
                html!(page; "<li><code>" (problem.code()) "</code> " [problem] "</li>");
            }
            html!(page; "</ul>");
        }
    }

    fn explain_form(&self, page: &mut Html) {
        html!(page; "<section id=\"explained\"><h2>Why was a client refused?</h2>"
            "<form class=\"ask\" action=\"#explained\"><label for=\"explain\">Reference"
            " or address</label> <input id=\"explain\" name=\"explain\" autocomplete=\"off\""
            " maxlength=\"64\" value=\"");
        page.text(self.explain.as_deref().unwrap_or_default());
        html!(page; "\"> <button>Explain</button></form>");
        if let Some(asked) = self
            .explain
            .as_deref()
            .map(str::trim)
            .filter(|it| !it.is_empty())
        {
            match asked.parse::<IpAddr>() {
                Ok(ip) if self.is_admitted => explained(page, &self.guard.explain_ip(ip)),
                Ok(_) => html!(page; "<p>An address is explained to the holder of the token only."
                    " The reference in the refused client&rsquo;s answer needs none.</p>"),
                Err(_) => match self.guard.explain(asked) {
                    Some(explanation) => explained(page, &explanation),
                    None => html!(page; "<p>No remembered refusal has the reference <code>" (asked)
                        "</code>. The last 10,000 are remembered since the start, of one client"
                        " the last 50.</p>"),
                },
            }
        }
        html!(page; "</section>");
    }

    fn refusals(&self, page: &mut Html, data: &StatusData) {
        html!(page; "<h2>Recent refusals <small>" (data.refusals_total) " since the start</small></h2>");
        let monitored = data.monitored;
        if monitored.requests > 0 {
            html!(page; "<p class=\"monitored\">In <code>monitor</code> mode <b>" (monitored.requests)
                "</b> requests of <b>" (monitored.clients) "</b> clients would have been refused; <b>"
                (monitored.had_logged_in) "</b> of these clients had logged in before.</p>");
        }
        if data.refusals.is_empty() {
            html!(page; "<p class=\"none\">Nobody was refused yet.</p>");
            return;
        }
        html!(page; "<div class=\"rows\">");
        for refusal in &data.refusals {
            self.refusal(page, refusal);
        }
        html!(page; "</div>");
    }

    fn refusal(&self, page: &mut Html, refusal: &Refusal) {
        html!(page; "<details id=\"r-");
        match &refusal.reference {
            Some(reference) => html!(page; (reference)),
            None => {
                let since = refusal.time.duration_since(std::time::UNIX_EPOCH);
                html!(page; (since.unwrap_or_default().as_nanos()));
            }
        }
        let time = format_rfc3339_seconds(refusal.time).to_string();
        html!(page; "\"><summary><span class=\"time\">" (time.get(11..19).unwrap_or_default())
            "</span> <span class=\"status\">" (refusal.status) "</span> <span class=\"client\">"
            (client(refusal)) "</span> <span class=\"source\">" (refusal.source)
            "</span> <span class=\"path\">" (&refusal.method) " " (&refusal.path)
            "</span></summary><p>" [refusal.words()] " " [refusal.remedy()] "</p><p>"
            [self.guard.outlook_of(refusal).words()] "</p>");
        if let Some(reference) = &refusal.reference {
            html!(page; "<p>Reference <code>" (reference) "</code>: <a href=\"?explain=" (reference)
                "#explained\">step by step</a></p>");
        }
        html!(page; "</details>");
    }

    fn bans(&self, page: &mut Html, data: &StatusData) {
        html!(page; "<h2>Bans <small>" (data.health.active_bans) "</small></h2>");
        if data.bans.is_empty() {
            html!(page; "<p class=\"none\">Nobody is banned.</p>");
            return;
        }
        html!(page; "<table><thead><tr><th>Client</th><th>Time left</th><th></th></tr></thead><tbody>");
        for ban in &data.bans {
            let left = humantime::format_duration(Duration::from_secs(ban.seconds_left));
            html!(page; "<tr><td>" (ban.client) "</td><td>" (left) "</td><td>");
            if let Some(access) = self.access.filter(|_| self.is_admitted) {
                html!(page; "<form method=\"post\" action=\"unban\"><input type=\"hidden\" name=\"client\" value=\""
                    (ban.client) "\"><input type=\"hidden\" name=\"csrf\" value=\"");
                page.unmasked(access.csrf());
                html!(page; "\"><button>Lift the ban</button></form>");
            }
            html!(page; "</td></tr>");
        }
        html!(page; "</tbody></table>");
    }

    fn you(&self, page: &mut Html) {
        html!(page; "<section id=\"you\"><h2>Who the guard thinks you are</h2><p>");
        match self.viewer.client {
            Some(client) => {
                html!(page; "<b>");
                page.unmasked(client);
                html!(page; "</b>. ");
            }
            None => html!(page; "It cannot tell. "),
        }
        html!(page; [&self.viewer.how] " If that is wrong, mend <code>trusted_proxies</code> and"
            " <code>client_ip_header</code>.</p>");
        match (self.access, self.is_admitted) {
            (None, _) => html!(page; "<p class=\"none\">Networks stand in place of addresses. Set"
                " <code>status_token</code> to see addresses and to lift bans.</p>"),
            (Some(_), false) => html!(page; "<form class=\"ask\" method=\"post\" action=\"token\">"
                "<label for=\"token\">Networks stand in place of addresses. Token</label>"
                " <input id=\"token\" name=\"token\" type=\"password\""
                " autocomplete=\"current-password\" maxlength=\"512\" required>"
                " <button>Open</button></form>"),
            (Some(access), true) => {
                html!(page; "<form class=\"ask\" method=\"post\" action=\"leave\">"
                    "<input type=\"hidden\" name=\"csrf\" value=\"");
                page.unmasked(access.csrf());
                html!(page; "\"><button>Hide addresses again</button></form>");
            }
        }
        html!(page; "</section>");
    }
}

/// A part that the script replaces with a fresh one.
fn live(page: &mut Html, id: &'static str, content: impl FnOnce(&mut Html)) {
    html!(page; "<section data-live id=\"");
    page.markup(id);
    html!(page; "\">");
    content(page);
    html!(page; "</section>");
}

fn client(refusal: &Refusal) -> String {
    let unknown = || "unknown".to_owned();
    refusal
        .client
        .map_or_else(unknown, |client| client.to_string())
}

fn budget(page: &mut Html, data: &StatusData) {
    let budget = data.budget;
    let all = (budget.spent + budget.left).max(1);
    let part = u64::from(budget.spent) * 960 / u64::from(all);
    html!(page; "<h2>Today&rsquo;s checks</h2><p><b id=\"spent\">" (budget.spent) "</b> spent, <b>"
        (budget.left) "</b> left of " (budget.limit) ". A client is checked from a score of <b>"
        (format_args!("{:.3}", budget.price)) "</b>");
    if budget.price <= 0.0 && budget.left > 0 {
        html!(page; ": everybody is");
    }
    html!(page; ".");
    if let Some(until) = budget.none_until {
        html!(page; " No check is left for clients until " (format_rfc3339_seconds(until)) ".");
    }
    html!(page; "</p><svg class=\"bar\" viewBox=\"0 0 960 20\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Part of the day&rsquo;s checks that is spent\"><rect class=\"all\" width=\"960\" height=\"20\"/><rect class=\"part\" height=\"20\" width=\""
        (part) "\"/></svg>");
    chart::price(page, &data.quarters, data.time);
}

fn requests(page: &mut Html, data: &StatusData) {
    let totals = chart::totals(&data.quarters);
    html!(page; "<h2>Requests in 24 hours <small id=\"all\">" (totals.iter().sum::<u64>())
        "</small></h2>");
    chart::requests(page, &data.quarters, data.time);
    html!(page; "<ul class=\"legend\">");
    for ((class, name), total) in chart::KINDS.into_iter().zip(totals) {
        if total > 0 {
            html!(page; "<li class=\"" (class) "\"><span class=\"box\"></span>" (name) " <b>" (total)
                "</b></li>");
        }
    }
    html!(page; "</ul>");
}

fn parts(page: &mut Html, data: &StatusData) {
    html!(page; "<h2>Feed, store, reports</h2><dl><dt>Feed</dt><dd>");
    match data.feed.entries {
        0 => html!(page; "none in force"),
        entries => html!(page; (entries) " entries"),
    }
    if let Some(age) = data.feed.age {
        html!(page; ", current " (spelt(age)) " ago");
    }
    error(page, data.feed.error.as_deref());
    html!(page; "</dd><dt>Memory</dt><dd>" (data.store.cache_entries) " addresses</dd><dt>State folder</dt><dd>");
    page.markup(match data.store.has_folder {
        true => "kept across restarts",
        false => "none: a restart forgets (<code>state_dir</code>)",
    });
    error(page, data.store.folder_error.as_deref());
    html!(page; "</dd><dt>Shared store</dt><dd>");
    page.markup(if data.store.is_shared {
        "in use"
    } else {
        "none"
    });
    error(page, data.store.shared_error.as_deref());
    html!(page; "</dd><dt>Reports</dt><dd>" (data.reports.delivered) " delivered, " (data.reports.pending)
        " waiting, " (data.reports.refused) " refused, " (data.reports.lost) " lost</dd></dl>");
}

fn error(page: &mut Html, error: Option<&str>) {
    if let Some(error) = error {
        html!(page; " <span class=\"error\">" (error) "</span>");
    }
}

fn explained(page: &mut Html, explanation: &Explanation) {
    html!(page; "<div class=\"explanation\">");
    match explanation.then.first() {
        Some(refusal) => {
            html!(page; "<h3>What happened</h3><p>" [refusal.words()] " " [refusal.remedy()] "</p>");
            if explanation.then.len() > 1 {
                html!(page; "<p>It is the latest of " (explanation.then.len())
                    " remembered refusals of this client.</p>");
            }
        }
        None => html!(page; "<p>No refusal of this client is remembered.</p>"),
    }
    steps(page, &explanation.now);
    html!(page; "</div>");
}

fn steps(page: &mut Html, now: &Outlook) {
    html!(page; "<h3>What would happen now</h3><p>");
    if let Some(request) = &now.request {
        html!(page; "<code>" (request) "</code>: ");
    }
    html!(page; [now.words()] "</p><ol>");
    for step in &now.steps {
        page.markup(if step.settles {
            "<li class=\"settles\">"
        } else {
            "<li>"
        });
        html!(page; "<code>" (step.step) "</code> " [&step.finds] "</li>");
    }
    html!(page; "</ol>");
}

fn spelt(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
