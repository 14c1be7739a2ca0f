//! The status page, as plain data: a request's head, query and form in; status, headers and body
//! out.
//!
//! - here: which request gets what;
//! - `access`: who may see addresses and lift bans;
//! - `page`, `chart`: what the page shows; `html`: HTML of which only literals are markup;
//! - `mask`: networks in place of addresses.
//!
//! 1. Reading needs no token. Without it every address is its network, wherever it stands.
//! 2. Only a `POST` changes something. It needs the token, a form of this page, and a browser that
//!    says it comes from this site.
//! 3. The page is self-contained. Its policy allows no script and no style but its own, and no
//!    connection to elsewhere.

mod access;
mod chart;
mod html;
mod mask;
mod page;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use self::access::{Access, is_same_site, is_secure, no_cookie};
use self::page::View;
use crate::guard::Guard;
use crate::request::RequestHead;
use crate::settings::StatusToken;

/// A guard's status page at a path: [`Guard::status_page`]. Cheap to clone. Adapters mount it.
#[derive(Clone)]
pub struct StatusPage(Arc<Inner>);

struct Inner {
    guard: Guard,
    /// Without a slash at its end.
    path: String,
    access: Option<Access>,
}

/// The answer to a request for the status page. Adapters turn it into their framework's response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageAnswer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl PageAnswer {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The response's headers besides `Content-Length`. Names are in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The body, taken out.
    #[must_use]
    pub fn into_body(self) -> String {
        self.body
    }

    fn new(status: u16, content_type: &str, body: String) -> Self {
        let headers = [
            ("content-type", content_type),
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            // A form's `Origin` is the page's only with a policy that is not stricter.
            ("referrer-policy", "same-origin"),
        ];
        Self {
            status,
            headers: headers.map(|(name, value)| (name, value.to_owned())).into(),
            body,
        }
    }

    fn words(status: u16, words: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", format!("{words}\n"))
    }

    /// Back to the page. Paths are relative: a proxy in front may have taken a prefix off.
    fn see(location: &str) -> Self {
        Self::words(303, "see the page").with("location", location.to_owned())
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl StatusPage {
    /// Maximum bytes of a form. An adapter reads no longer body.
    pub const MAX_FORM_BYTES: usize = 4_096;

    pub(crate) fn new(guard: Guard, path: &str, token: Option<&StatusToken>) -> Self {
        Self(Arc::new(Inner {
            guard,
            path: format!("/{}", path.trim_matches('/')),
            access: token.map(Access::new),
        }))
    }

    /// Where it is mounted: `/guard`. What is below belongs to it, too.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Whether a path is the page's.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.part(path).is_some()
    }

    /// What of a path comes after the page's own.
    fn part<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.0.path.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// The answer to a request, with what stands behind the `?` of its target and with its body.
    #[must_use]
    pub fn answer(
        &self,
        request: &impl RequestHead,
        query: Option<&str>,
        body: &[u8],
    ) -> PageAnswer {
        if body.len() > Self::MAX_FORM_BYTES {
            return PageAnswer::words(413, "That is too long for a form of this page.");
        }
        let access = self.0.access.as_ref();
        let is_admitted = access.is_some_and(|access| access.is_admitted(request));
        match (request.method(), self.part(request.path())) {
            ("GET" | "HEAD", Some("/")) => self.page(request, query, is_admitted),
            ("GET" | "HEAD", Some("/status.json")) => self.json(is_admitted),
            ("GET" | "HEAD", Some("")) => {
                let name = self.0.path.rsplit('/').next().unwrap_or_default();
                PageAnswer::see(&format!("{name}/"))
            }
            ("POST", Some("/token" | "/leave" | "/unban")) if access.is_none() => {
                PageAnswer::words(
                    404,
                    "No `status_token` is set, so there is nothing to open.",
                )
            }
            ("POST", Some(part @ ("/token" | "/leave" | "/unban"))) => {
                self.change(request, part, body)
            }
            (_, Some("/" | "/status.json" | "")) => {
                PageAnswer::words(405, "Only GET").with("allow", "GET, HEAD".to_owned())
            }
            (_, Some("/token" | "/leave" | "/unban")) => {
                PageAnswer::words(405, "Only POST").with("allow", "POST".to_owned())
            }
            _ => PageAnswer::words(404, "There is no such page."),
        }
    }

    fn page(
        &self,
        request: &impl RequestHead,
        query: Option<&str>,
        is_admitted: bool,
    ) -> PageAnswer {
        let nonce = nonce();
        let view = View {
            guard: &self.0.guard,
            viewer: self.0.guard.viewer(request),
            access: self.0.access.as_ref(),
            is_admitted,
            explain: query.and_then(|query| field(query.as_bytes(), "explain")),
            nonce: &nonce,
        };
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
             connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'"
        );
        PageAnswer::new(200, "text/html; charset=utf-8", view.render())
            .with("content-security-policy", policy)
    }

    fn json(&self, is_admitted: bool) -> PageAnswer {
        let status = serde_json::to_value(self.0.guard.status());
        let Ok(mut status) = status else {
            return PageAnswer::words(500, "The status cannot be written.");
        };
        if !is_admitted {
            mask::mask_json(&mut status);
        }
        PageAnswer::new(200, "application/json", status.to_string())
    }

    fn change(&self, request: &impl RequestHead, part: &str, body: &[u8]) -> PageAnswer {
        let Some(access) = &self.0.access else {
            return PageAnswer::words(404, "There is no such page.");
        };
        // A program that sends the token itself is sent by no page.
        let is_program = access.is_bearer(request);
        if !is_program && !is_same_site(request) {
            return PageAnswer::words(
                403,
                "Refused: the browser does not say that this comes from this site. A proxy in \
                 front must pass the `Host` header on.",
            );
        }
        if part == "/token" {
            let token = field(body, "token").unwrap_or_default();
            return match access.is_token(token.trim()) {
                true => PageAnswer::see("./").with("set-cookie", access.cookie(is_secure(request))),
                false => PageAnswer::words(403, "That is not the token."),
            };
        }
        let is_form = field(body, "csrf").is_some_and(|csrf| access.is_form_of_ours(&csrf));
        let is_page = access.is_admitted(request) && is_form;
        if !(is_program || is_page) {
            return PageAnswer::words(
                403,
                "Refused: this needs the token and a form of this page.",
            );
        }
        if part == "/leave" {
            return PageAnswer::see("./").with("set-cookie", no_cookie());
        }
        match field(body, "client").and_then(|client| client.trim().parse::<IpAddr>().ok()) {
            Some(client) => {
                event!(INFO, %client, "a ban is lifted on the status page");
                self.0.guard.unban(client);
                PageAnswer::see("./#bans")
            }
            None => PageAnswer::words(400, "`client` is no address."),
        }
    }
}

impl fmt::Debug for StatusPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusPage")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

/// A field of a form or of a query.
fn field(form: &[u8], name: &str) -> Option<String> {
    let form = std::str::from_utf8(form).ok()?;
    let mut url = reqwest::Url::parse("form:/").ok()?;
    url.set_query(Some(form));
    let mut pairs = url.query_pairs();
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

/// Nobody can tell the next one, wherever the operating system's random numbers come from.
fn nonce() -> String {
    let mut bytes = [0; 16];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        bytes = u128::from(RandomState::new().hash_one(())).to_be_bytes();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
