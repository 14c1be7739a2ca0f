//! Who may see addresses and lift bans: the holder of the token, from the page itself.

use aws_lc_rs::hmac;

use crate::request::RequestHead;
use crate::settings::StatusToken;

const COOKIE: &str = "ipwhois-guard-status";

/// What follows from the token. Neither the cookie nor the forms show the token itself.
pub(super) struct Access {
    session: String,
    csrf: String,
}

impl Access {
    pub(super) fn new(token: &StatusToken) -> Self {
        let derive = |label: &str| derived(token.expose().as_bytes(), label);
        Self {
            session: derive("session"),
            csrf: derive("form"),
        }
    }

    /// What each form carries.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    pub(super) fn is_form_of_ours(&self, csrf: &str) -> bool {
        is_same(&self.csrf, csrf)
    }

    pub(super) fn is_token(&self, token: &str) -> bool {
        is_same(&self.session, &derived(token.as_bytes(), "session"))
    }

    /// Whether the request carries the cookie, or the token as `Authorization: Bearer`.
    pub(super) fn is_admitted(&self, request: &impl RequestHead) -> bool {
        let cookies = request.header_lines("cookie");
        let mut cookies = cookies.flat_map(|line| line.split(|&byte| byte == b';'));
        let has_cookie = cookies.any(|cookie| {
            let cookie = cookie.trim_ascii();
            let value = cookie.strip_prefix(COOKIE.as_bytes());
            let value = value.and_then(|rest| rest.strip_prefix(b"="));
            value.is_some_and(|value| is_same_bytes(self.session.as_bytes(), value))
        });
        has_cookie || self.is_bearer(request)
    }

    pub(super) fn is_bearer(&self, request: &impl RequestHead) -> bool {
        request.header_lines("authorization").any(|line| {
            let token = line.strip_prefix(b"Bearer ");
            let token = token.and_then(|token| std::str::from_utf8(token).ok());
            token.is_some_and(|token| self.is_token(token))
        })
    }

    /// The cookie of a visitor who knows the token.
    pub(super) fn cookie(&self, is_secure: bool) -> String {
        let secure = if is_secure { "; Secure" } else { "" };
        format!(
            "{COOKIE}={}; HttpOnly; SameSite=Strict{secure}",
            self.session
        )
    }
}

/// Takes the cookie back.
pub(super) fn no_cookie() -> String {
    format!("{COOKIE}=; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// Whether a request that changes something comes from a page of this site, as the browser says.
/// Browsers let no page write these headers. One that sends neither of them is no browser.
pub(super) fn is_same_site(request: &impl RequestHead) -> bool {
    let line = |name| {
        let mut lines = request.header_lines(name);
        let first = lines.next();
        // Two lines are one too many to believe either.
        (first, lines.next().is_none())
    };
    match line("sec-fetch-site") {
        (Some(site), is_only) => is_only && site == b"same-origin",
        (None, _) => match (line("origin"), line("host")) {
            ((Some(origin), true), (Some(host), true)) => {
                let authority = [b"https://".as_slice(), b"http://"]
                    .into_iter()
                    .find_map(|scheme| origin.strip_prefix(scheme));
                authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
            }
            _ => false,
        },
    }
}

/// Whether the page was opened by TLS, as the browser says.
pub(super) fn is_secure(request: &impl RequestHead) -> bool {
    request
        .header_lines("origin")
        .any(|origin| origin.starts_with(b"https://"))
}

fn derived(token: &[u8], label: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token);
    let tag = hmac::sign(
        &key,
        format!("ipwhois-guard status page: {label}").as_bytes(),
    );
    tag.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn is_same(one: &str, other: &str) -> bool {
    is_same_bytes(one.as_bytes(), other.as_bytes())
}

/// In the same time wherever they differ.
fn is_same_bytes(one: &[u8], other: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one, other).is_ok()
}
