//! A refusal as plain data: status, headers and body, the same bytes in every framework.

mod accept;

use std::borrow::Cow;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub(crate) use self::accept::Format;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DenialKind {
    /// The client is on the blacklist or the denylist: 403.
    Blocked,
    /// The client is banned for too many failed logins, or has no attempt left: 429 with
    /// `Retry-After`.
    TooManyAttempts,
    /// The client could not be verified, and the rule refuses such clients: 503 with `Retry-After`.
    Unverified,
}

impl DenialKind {
    /// The HTTP status: 403, 429 or 503.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Blocked => 403,
            Self::TooManyAttempts => 429,
            Self::Unverified => 503,
        }
    }
}

/// The answer to a refused request. Adapters turn it into their framework's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denial {
    kind: DenialKind,
    reference: Reference,
    retry_after: Option<u32>,
    format: Format,
}

impl Denial {
    /// Maximum bytes of a refused request's body that an adapter reads and discards: 32 MiB. It
    /// costs no memory. A server that closes a connection with unread bytes resets it, and the
    /// client or the proxy in front loses the answer.
    pub const MAX_UNREAD_BYTES: u64 = 32 * 1024 * 1024;

    /// How long an adapter reads a refused request's body, after the answer: 5 s.
    pub const MAX_UNREAD_TIME: Duration = Duration::from_secs(5);

    pub(crate) fn blocked(format: Format) -> Self {
        Self {
            kind: DenialKind::Blocked,
            reference: Reference::next(),
            retry_after: None,
            format,
        }
    }

    pub(crate) fn too_many_attempts(retry_after: Duration, format: Format) -> Self {
        Self::for_now(DenialKind::TooManyAttempts, retry_after, format)
    }

    pub(crate) fn unverified(retry_after: Duration, format: Format) -> Self {
        Self::for_now(DenialKind::Unverified, retry_after, format)
    }

    fn for_now(kind: DenialKind, retry_after: Duration, format: Format) -> Self {
        let seconds = retry_after.as_millis().div_ceil(1_000).max(1);
        Self {
            kind,
            reference: Reference::next(),
            retry_after: Some(u32::try_from(seconds).unwrap_or(u32::MAX)),
            format,
        }
    }

    /// Why the request is refused.
    #[must_use]
    pub const fn kind(&self) -> DenialKind {
        self.kind
    }

    /// Eight letters and digits that stand in the answer to a blocked client and in the log beside
    /// the reason. They tell the client nothing, and the operator which client a complaint is
    /// about. The log has the first refusal of a client at level `info`, and each one at level
    /// `debug`.
    #[must_use]
    pub fn reference(&self) -> &str {
        self.reference.as_str()
    }

    /// The HTTP status: 403, 429 or 503.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.kind.status()
    }

    /// The response's headers besides `Content-Length`. Names are in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, Cow<'static, str>)> {
        let retry_after = self
            .retry_after
            .map(|seconds| ("retry-after", Cow::Owned(seconds.to_string())));
        [
            ("content-type", Cow::Borrowed(self.format.content_type())),
            ("cache-control", Cow::Borrowed("no-store")),
            ("vary", Cow::Borrowed("Accept")),
        ]
        .into_iter()
        .chain(retry_after)
    }

    /// The body: JSON, or a small HTML page when the request's `Accept` prefers one.
    #[must_use]
    pub fn body(&self) -> String {
        let reference = self.reference();
        match (self.format, self.kind) {
            (Format::Json, DenialKind::Blocked) => {
                format!(r#"{{"error":"Blocked","reference":"{reference}"}}"#)
            }
            (Format::Json, DenialKind::TooManyAttempts) => {
                r#"{"error":"Too many attempts"}"#.to_owned()
            }
            (Format::Json, DenialKind::Unverified) => r#"{"error":"Unverified"}"#.to_owned(),
            (Format::Html, DenialKind::Blocked) => page(
                "Blocked",
                &format!(
                    "<p>This address may not use this site. If you think that is a mistake, tell the site's owner \
                     this reference: <code>{reference}</code></p>"
                ),
            ),
            (Format::Html, DenialKind::TooManyAttempts) => page(
                "Too many attempts",
                "<p>There were too many failed attempts from this address. Please try again later.</p>",
            ),
            (Format::Html, DenialKind::Unverified) => page(
                "Try again later",
                "<p>This request could not be checked. Please try again in a moment.</p>",
            ),
        }
    }
}

fn page(title: &str, text: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1>\n{text}</body></html>\n"
    )
}

/// Eight characters of Crockford's base 32, drawn anew for each denial.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Reference([u8; 8]);

impl Reference {
    const ALPHABET: &'static [u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    fn next() -> Self {
        static SEED: LazyLock<foldhash::quality::RandomState> = LazyLock::new(Default::default);
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Counting alone would tell a client how many others were refused since its last visit.
        let mut bits = SEED.hash_one(COUNT.fetch_add(1, Ordering::Relaxed));
        Self(std::array::from_fn(|_| {
            let letter = Self::ALPHABET[(bits % 32) as usize];
            bits /= 32;
            letter
        }))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(denial: Denial) -> Vec<(&'static str, String)> {
        let owned = |(name, value): (_, Cow<'_, str>)| (name, value.into_owned());
        denial.headers().map(owned).collect()
    }

    #[test]
    fn a_blocked_client_reads_its_reference_and_nothing_else() {
        let denial = Denial::blocked(Format::Json);
        assert_eq!(denial.status(), 403);
        let expected = format!(
            r#"{{"error":"Blocked","reference":"{}"}}"#,
            denial.reference()
        );
        assert_eq!(denial.body(), expected);
        assert_eq!(
            headers(denial),
            [
                ("content-type", "application/json".to_owned()),
                ("cache-control", "no-store".to_owned()),
                ("vary", "Accept".to_owned()),
            ]
        );
    }

    #[test]
    fn an_unverified_client_is_told_when_to_come_back() {
        let denial = Denial::unverified(Duration::from_millis(29_001), Format::Json);
        assert_eq!(denial.status(), 503);
        assert_eq!(denial.body(), r#"{"error":"Unverified"}"#);
        assert!(headers(denial).contains(&("retry-after", "30".to_owned())));
        let soon = Denial::unverified(Duration::ZERO, Format::Json);
        assert!(headers(soon).contains(&("retry-after", "1".to_owned())));
    }

    #[test]
    fn a_banned_client_is_told_for_how_long() {
        let denial = Denial::too_many_attempts(Duration::from_millis(3_599_001), Format::Json);
        assert_eq!(denial.status(), 429);
        assert_eq!(denial.body(), r#"{"error":"Too many attempts"}"#);
        assert!(headers(denial).contains(&("retry-after", "3600".to_owned())));
        let page = Denial::too_many_attempts(Duration::from_secs(1), Format::Html).body();
        assert!(page.contains("<h1>Too many attempts</h1>"), "{page}");
    }

    #[test]
    fn a_browser_reads_a_page_with_the_same_reference() {
        let denial = Denial::blocked(Format::Html);
        assert!(denial.body().starts_with("<!doctype html>"));
        assert!(denial.body().contains(denial.reference()));
        assert!(headers(denial).contains(&("content-type", "text/html; charset=utf-8".to_owned())));
    }

    #[test]
    fn references_differ_and_are_no_sequence() {
        let references: std::collections::HashSet<String> = (0..1_000)
            .map(|_| Denial::blocked(Format::Json).reference().to_owned())
            .collect();
        assert_eq!(references.len(), 1_000);
        assert!(references.iter().all(|reference| reference.len() == 8));
    }
}
