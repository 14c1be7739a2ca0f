//! Two kinds of errors: [`BuildError`] for who configures a guard, [`ApiError`] for who calls the
//! service.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::shown::shown;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// Why a guard could not be built: what to change in the settings, by name and value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A setting has a value that cannot be used.
    #[error("setting `{setting}`: `{value}` {reason}")]
    Setting {
        /// The setting's name, `trusted_proxies`; the variable's, `IPWHOIS_GUARD_MAX_WAIT`, when
        /// its text cannot be read.
        setting: String,
        /// The value that was refused. A secret is shown as `(hidden)`.
        value: String,
        /// What is wrong with it, as the rest of the sentence: "is not a CIDR".
        reason: String,
    },
    /// Two settings contradict each other.
    #[error("settings `{first}` and `{second}` {reason}")]
    Conflict {
        /// One of the two.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// Why they do not go together.
        reason: &'static str,
    },
    /// The text of a settings file is not what it should be.
    #[error("settings line {line}: {reason}")]
    Text {
        /// The line, counted from 1.
        line: usize,
        /// The parser's word, which names the key.
        reason: String,
    },
    /// A line of a list file is no address or CIDR.
    #[error("setting `{setting}`: {}:{line}: `{text}` {reason}", path.display())]
    FileLine {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The line's text, shortened when it is long.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that a setting names cannot be read.
    #[error("setting `{setting}`: cannot read {}", path.display())]
    File {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// The guard's own thread, its runtime or its HTTP client could not be started.
    #[error("cannot start the guard's {part}")]
    Start {
        /// The part that did not start.
        part: &'static str,
        /// Why.
        source: Source,
    },
}

impl BuildError {
    /// A setting whose value cannot be used, for crates that read one of the guard's settings. The
    /// value of a setting that may hold a secret is hidden, and any other is shown in 80 characters
    /// at most, with what cannot be seen escaped.
    ///
    /// ```
    /// # use ipwhois_guard_core::BuildError;
    /// let error = BuildError::setting("redis_url", "host, password=hunter2", "is no URL");
    /// assert_eq!(error.to_string(), "setting `redis_url`: `(hidden)` is no URL");
    /// ```
    #[must_use]
    pub fn setting(
        setting: impl Into<String>,
        value: impl AsRef<str>,
        reason: impl Into<String>,
    ) -> Self {
        let setting = setting.into();
        Self::Setting {
            value: shown(&setting, value.as_ref()),
            setting,
            reason: reason.into(),
        }
    }

    pub(crate) fn start(part: &'static str, source: impl Into<Source>) -> Self {
        Self::Start {
            part,
            source: source.into(),
        }
    }
}

const IS_IT_THE_BASE: &str = ": is `api_url` the base, without `/check`?";

const fn page_advice(status: u16) -> &'static str {
    match status {
        404 | 405 => IS_IT_THE_BASE,
        _ => {
            ": a challenge, a firewall or a proxy between this machine and the service refuses the \
             call, or `api_url` names another site"
        }
    }
}

const fn status_advice(status: u16) -> &'static str {
    match status {
        300..=399 => ": no redirect is followed, so `api_url` has to name the place itself",
        401 | 403 => ": this is not the service's own refusal of a key, which would be JSON",
        402 => ": the plan of the key has to be paid for or changed",
        404 | 405 => IS_IT_THE_BASE,
        407 => ": a proxy between this machine and the service wants a password",
        _ => "",
    }
}

/// An error and its causes, in one line.
pub(crate) fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Why a call to the service brought no answer that can be believed. Never contains the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No connection, or it broke: DNS, TCP, TLS, HTTP framing.
    #[error("the service cannot be reached")]
    Transport {
        /// Whether there was a connection, so that the service may have counted the call.
        connected: bool,
        /// The HTTP client's word, without the URL.
        source: Source,
    },
    /// The deadline for the whole call (`api_timeout`) passed.
    #[error("no complete reply within {limit:?}")]
    Timeout {
        /// The deadline.
        limit: Duration,
    },
    /// The day's limit is used up: status 429.
    #[error("the service answers 429: too many requests")]
    RateLimited {
        /// `Retry-After`, when the reply had a usable one.
        retry_after: Option<Duration>,
    },
    /// The key was refused: the service itself answers 401 or 403, with a JSON object.
    #[error("the service refuses the key: status {status}")]
    KeyRefused {
        /// 401 or 403.
        status: u16,
    },
    /// A page of HTML instead of a reply, so something else answers in the service's place. The
    /// service counts as one that cannot be reached. Pages with status 429 are
    /// [`RateLimited`](Self::RateLimited), those of redirects and server errors
    /// [`Status`](Self::Status).
    #[error("a page came instead of a reply (status {status}){}", page_advice(*.status))]
    Page {
        /// The status.
        status: u16,
    },
    /// Any other status but 200.
    #[error("the service answers status {status}{}", status_advice(*.status))]
    Status {
        /// The status.
        status: u16,
    },
    /// A reply of success that is no verdict on a check, or does not accept a report.
    #[error("the reply cannot be believed: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// The reply's body passes the size limit of 64 KiB.
    #[error("the reply is longer than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// Why a report was not delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The address is one of those that are never reported: non-public, allowlisted, or a trusted
    /// proxy.
    #[error("{ip} is never reported: it is non-public, allowlisted or a trusted proxy")]
    NeverReported {
        /// The address.
        ip: IpAddr,
    },
    /// The service did not accept it.
    #[error("the service did not accept the report")]
    Call(#[from] ApiError),
    /// The source is no name that can be sent.
    #[error(
        "report setting `source`: `{value}` is no name of a-z, 0-9, `-`, `_` and `.`, 64 at most"
    )]
    InvalidSource {
        /// The value that was refused, as one line, shortened when it is long.
        value: String,
    },
    /// 10,000 reports wait already; this one was dropped.
    #[error("the queue of reports is full")]
    QueueFull,
    /// The service refused it for good, so it is not sent again.
    #[error("the service refuses the report: status {status}")]
    Refused {
        /// 401 or 403 when the key was refused; 400, 404, 413 or 422 when the report was.
        status: u16,
    },
    /// The service could not be reached, or did not accept it, for 24 hours.
    #[error("the report could not be delivered for 24 hours")]
    GivenUp,
    /// The guard ended first. With a state folder the report is sent after the next start.
    #[error("the guard ended before the report was delivered")]
    ShuttingDown,
}
