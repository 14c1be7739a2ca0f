//! What a refused answer says of a client.

use super::missing::{MissingPaths, PathKey};
use super::unprompted::is_unprompted;

/// Settled when the request comes, for the time when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalMeans {
    /// Browsers and crawlers ask for the path unprompted; or nobody wants to know.
    Nothing,
    /// A mistyped address, a dead link, or somebody who tries what there is.
    Little(PathKey),
    /// A form or a login that was refused.
    Much,
}

impl RefusalMeans {
    /// For a request with this method and raw path.
    pub(crate) fn of(method: &str, path: &str, missing: &MissingPaths) -> Self {
        if changes_something(method) {
            Self::Much
        } else if is_unprompted(path) {
            Self::Nothing
        } else {
            Self::Little(missing.key(path))
        }
    }
}

/// Whether a method is not safe (RFC 9110, section 9.2.1): forms and logins use it, and so does who guesses passwords.
pub(crate) fn changes_something(method: &str) -> bool {
    !["GET", "HEAD", "OPTIONS", "TRACE"]
        .iter()
        .any(|safe| method.eq_ignore_ascii_case(safe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, path: &str, expected: &str) {
        let means = match RefusalMeans::of(method, path, &MissingPaths::new()) {
            RefusalMeans::Nothing => "nothing",
            RefusalMeans::Little(_) => "little",
            RefusalMeans::Much => "much",
        };
        assert_eq!(means, expected, "{method} {path}");
    }

    #[test]
    fn a_refused_form_says_more_than_a_broken_link_and_a_missing_icon_says_nothing() {
        check("POST", "/login", "much");
        check("DELETE", "/favicon.ico", "much");
        check("PROPFIND", "/", "much");
        check("GET", "/old-page", "little");
        check("HEAD", "/old-page", "little");
        check("get", "/favicon.ico", "nothing");
    }
}
