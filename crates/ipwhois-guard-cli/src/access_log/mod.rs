//! Lines of access logs in the common and the combined format, of Apache, nginx and what imitates them.
//!
//! ```text
//! [vhost ]client ident user [17/May/2015:10:05:03 +0000] "GET /path?query HTTP/1.1" 200 512[ "referer" "user agent" …]
//! ```
//!
//! Who writes a request writes most of its line, so nothing a client can choose moves a field: the time is what stands
//! right before the first `] "`, which cannot be in a user's name because servers escape quotes there.

mod line;
mod lines;
mod request;
#[cfg(test)]
mod tests;
mod time;
mod write;

pub use self::line::{Line, Malformed, parse};
pub use self::lines::{LONGEST, Lines};
pub use self::request::Request;
pub use self::time::{day_of, timestamp};
pub use self::write::Entry;
