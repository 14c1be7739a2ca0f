//! Paths where somebody logs in: there a client that nobody knows is worth a check before others.
//!
//! Who guesses passwords is no prober, and his first answers are those of anybody who mistypes one. So it is where he comes,
//! not what he does, that tells him from a reader.

use super::paths::{Pattern, Patterns, parse_some};
use crate::error::BuildError;

/// Segments, anywhere in a path: those that frameworks, identity servers and their tutorials use.
const BUILT_IN: &[&str] = &[
    "login",
    "log-in",
    "log_in",
    "logon",
    "signin",
    "sign-in",
    "sign_in",
    "authenticate",
    "authentication",
    "oauth/token",
    "oauth2/token",
    "auth/token",
    "/session",
    "/sessions",
    "/api/session",
    "/api/sessions",
    "forgot-password",
    "reset-password",
    "password/reset",
];

/// The built-in list of login paths, which holds unless `login_paths` is set: `name` is a segment anywhere in the path, `one/two`
/// two segments one after the other, `/name` a segment at the root, each with what is below it.
pub fn built_in_login_paths() -> &'static [&'static str] {
    BUILT_IN
}

/// Tells logins from other requests.
#[derive(Debug)]
pub(crate) struct LoginPaths(Patterns);

impl LoginPaths {
    /// Reads the setting `login_paths` (`None`: the built-in list; empty: none).
    pub(crate) fn new(list: Option<&[String]>) -> Result<Self, BuildError> {
        const EVERYTHING: &str = "covers every path, so that every client would come before others";
        let patterns = match list {
            None => BUILT_IN
                .iter()
                .map(|text| Pattern::built_in(text))
                .collect(),
            Some(entries) => parse_some("login_paths", entries, EVERYTHING)?,
        };
        Ok(Self(Patterns::new(patterns)))
    }

    /// Whether one logs in at this raw path. Does not allocate.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.0.cover(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn check(list: Option<&[&str]>, is_login: bool, paths: &[&str]) {
        let list = list.map(strings);
        let logins = LoginPaths::new(list.as_deref()).unwrap();
        for path in paths {
            assert_eq!(logins.matches(path), is_login, "{path}");
        }
    }

    #[test]
    fn a_login_is_told_by_a_segment_of_its_path() {
        let logins = [
            "/login",
            "/login/",
            "/Login?next=/",
            "/log%69n",
            "/users/sign_in",
            "/api/v1/login",
            "/login/step-2",
            "/oauth/token",
            "/session",
            "/account/reset-password",
        ];
        check(None, true, &logins);
    }

    #[test]
    fn a_page_about_logins_is_none() {
        let others = [
            "/",
            "/logins",
            "/blog/login-page-design",
            "/oauth",
            "/token",
            "/conference/sessions",
            "/docs?topic=login",
            "",
            "*",
        ];
        check(None, false, &others);
    }

    #[test]
    fn the_application_names_its_own() {
        check(Some(&["/enter"]), true, &["/enter", "/enter/now"]);
        check(Some(&["/enter"]), false, &["/login"]);
        check(Some(&[]), false, &["/login"]);
    }

    #[test]
    fn a_list_that_covers_everything_is_refused() {
        let error = LoginPaths::new(Some(&strings(&["/enter", "/"]))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "setting `login_paths`: `/` covers every path, so that every client would come before others"
        );
    }
}
