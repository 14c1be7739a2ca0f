//! What a refused answer says of a client.

use super::unprompted::is_unprompted;

/// Settled when the request comes, for the time when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusalMeans {
    /// Browsers and crawlers ask for the path unprompted; or nobody wants to know.
    Nothing,
    /// A mistyped address, or somebody who tries what there is.
    Little,
    /// A form or a login that was refused.
    Much,
}

impl RefusalMeans {
    /// For a request with this method and raw path.
    pub(crate) fn of(method: &str, path: &str) -> Self {
        if changes_something(method) {
            Self::Much
        } else if is_unprompted(path) {
            Self::Nothing
        } else {
            Self::Little
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
    fn check(method: &str, path: &str, expected: RefusalMeans) {
        assert_eq!(RefusalMeans::of(method, path), expected, "{method} {path}");
    }

    #[test]
    fn a_refused_form_says_more_than_a_broken_link_and_a_missing_icon_says_nothing() {
        check("POST", "/login", RefusalMeans::Much);
        check("DELETE", "/favicon.ico", RefusalMeans::Much);
        check("PROPFIND", "/", RefusalMeans::Much);
        check("GET", "/old-page", RefusalMeans::Little);
        check("HEAD", "/old-page", RefusalMeans::Little);
        check("get", "/favicon.ico", RefusalMeans::Nothing);
    }
}
