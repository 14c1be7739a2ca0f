//! Lines of the combined format, written.

use std::fmt;
use std::net::IpAddr;

use super::time::timestamp;

/// A request as a server logs it. Its text is a line of the combined format, without a line end.
#[derive(Clone, Debug)]
pub struct Entry<'e> {
    /// Who was connected.
    pub client: IpAddr,
    /// When, in seconds since 1970-01-01 00:00:00 UTC.
    pub time: u64,
    /// The method.
    pub method: &'e str,
    /// The target: path and query.
    pub target: &'e str,
    /// What was answered.
    pub status: u16,
    /// How long the answer was, in bytes.
    pub bytes: u64,
    /// The page that led here; empty for none.
    pub referer: &'e str,
    /// What the client says that it is; empty for nothing.
    pub user_agent: &'e str,
}

impl fmt::Display for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - - [{}] ", self.client, timestamp(self.time))?;
        let protocol = "HTTP/1.1";
        write!(
            f,
            "\"{} {} {protocol}\"",
            Quoted(self.method),
            Quoted(self.target)
        )?;
        write!(f, " {} {}", self.status, self.bytes)?;
        for text in [self.referer, self.user_agent] {
            let text = if text.is_empty() { "-" } else { text };
            write!(f, " \"{}\"", Quoted(text))?;
        }
        Ok(())
    }
}

/// Text inside quotes, escaped as Apache does.
struct Quoted<'q>(&'q str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b' '..=b'~' => write!(f, "{}", char::from(byte))?,
                other => write!(f, "\\x{other:02x}")?,
            }
        }
        Ok(())
    }
}
