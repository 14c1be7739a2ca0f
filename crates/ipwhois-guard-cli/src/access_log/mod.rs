//! Lines of access logs.
//!
//! The common and the combined format, of Apache, nginx and the servers that imitate them:
//!
//! ```text
//! [vhost ]client ident user [17/May/2015:10:05:03 +0000] "GET /path?query HTTP/1.1" 200 512[ "referer" "user agent" …]
//! ```
//!
//! A client chooses most of its line's text, so none of that text moves a field. The time is what
//! stands right before the first `] "`: servers escape quotes in a user's name.
//!
//! A line that begins with `{` is JSON: an entry of Caddy's or Traefik's access log, or one of
//! Docker's log files with a line of any of these formats in it.

mod client;
mod json;
mod line;
mod lines;
mod request;
#[cfg(test)]
mod tests;
mod time;
mod write;

pub use self::client::ClientField;
pub use self::line::{Line, Malformed, parse, parse_with};
pub use self::lines::{LONGEST, Lines};
pub use self::request::Request;
pub use self::time::{day_of, timestamp};
pub use self::write::Entry;
