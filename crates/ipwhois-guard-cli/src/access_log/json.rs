//! Lines in JSON. The order of fields does not matter, and other fields are ignored.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use super::client::{self, ClientField};
use super::line::{Line, Malformed, parse_with};
use super::time;

/// Caddy's access loggers are named so, with further names behind it.
const CADDY_LOGGER: &str = "http.log.access";

pub(super) fn parse(line: &[u8], field: ClientField) -> Result<Line<'static>, Malformed> {
    let entry: Value = serde_json::from_slice(line).map_err(|_| Malformed::NoJson)?;
    if let Some(line) = entry["log"].as_str() {
        // Docker's log files hold a container's lines so, with their line ends.
        return parse_with(line.trim_end().as_bytes(), field).map(Line::into_owned);
    }
    let fields = if entry["request"].is_object() {
        caddy(&entry)
    } else if entry["RequestMethod"].is_string() {
        Some(traefik(&entry))
    } else {
        None
    };
    fields.ok_or(Malformed::OtherJson)?.line(field)
}

/// What both servers say, each in its own fields.
struct Fields<'v> {
    client: &'v Value,
    forwarded_for: Option<Cow<'v, str>>,
    time: &'v Value,
    method: &'v Value,
    target: &'v Value,
    status: &'v Value,
    referrer: Option<&'v str>,
    user_agent: Option<&'v str>,
}

fn caddy(entry: &Value) -> Option<Fields<'_>> {
    let request = &entry["request"];
    let logger = entry["logger"].as_str();
    // An error log has the same request once more.
    if logger.is_some_and(|logger| !logger.starts_with(CADDY_LOGGER)) {
        return None;
    }
    let headers = request["headers"].as_object();
    let lines = |name: &str| {
        let lines = headers.map(|headers| headers.get(name).and_then(Value::as_array));
        lines.map(|lines| lines.into_iter().flatten().filter_map(Value::as_str))
    };
    // Without a line the client has sent none. Without headers that is not known.
    let first = |name: &str| lines(name).map(|mut lines| lines.next().unwrap_or_default());
    Some(Fields {
        client: present(request, &["client_ip", "remote_ip", "remote_addr"]),
        forwarded_for: lines("X-Forwarded-For")
            .map(|lines| Cow::Owned(lines.collect::<Vec<_>>().join(","))),
        time: &entry["ts"],
        method: &request["method"],
        target: &request["uri"],
        status: &entry["status"],
        referrer: first("Referer"),
        user_agent: first("User-Agent"),
    })
}

/// Traefik logs a header only where it is told to.
fn traefik(entry: &Value) -> Fields<'_> {
    // Traefik sets the host to the whole header, where it trusts that.
    let forwarded_for = present(entry, &["request_X-Forwarded-For", "ClientHost"]).as_str();
    Fields {
        client: present(entry, &["ClientHost", "ClientAddr"]),
        forwarded_for: forwarded_for.map(Cow::Borrowed),
        time: present(entry, &["StartUTC", "time"]),
        method: &entry["RequestMethod"],
        target: &entry["RequestPath"],
        status: present(entry, &["DownstreamStatus", "OriginStatus"]),
        referrer: entry["request_Referer"].as_str(),
        user_agent: entry["request_User-Agent"].as_str(),
    }
}

/// The first of these fields that is there.
fn present<'v>(of: &'v Value, names: &[&str]) -> &'v Value {
    let found = names.iter().find_map(|name| of.get(name));
    found.unwrap_or(&Value::Null)
}

impl Fields<'_> {
    fn line(self, field: ClientField) -> Result<Line<'static>, Malformed> {
        let forwarded = match (field, &self.forwarded_for) {
            (ClientField::Peer, _) | (ClientField::ForwardedFor, None) => None,
            (ClientField::ForwardedFor, Some(list)) => client::forwarded(list.as_bytes())?,
            (ClientField::Quoted(_), _) => return Err(Malformed::NoField),
        };
        let client = match (forwarded, self.client.as_str()) {
            (Some(client), _) => Some(client),
            (None, Some(client)) => client::single(client.as_bytes()),
            (None, None) => None,
        };
        let (Some(method), Some(target)) = (self.method.as_str(), self.target.as_str()) else {
            return Err(Malformed::OtherJson);
        };
        let owned = |text: &str| Cow::Owned(text.as_bytes().to_vec());
        Ok(Line {
            client: client.ok_or(Malformed::NoClient)?,
            time: seconds(self.time)?,
            request: owned(&format!("{method} {target} HTTP/1.1")),
            status: status(self.status),
            referrer: self.referrer.map(owned),
            user_agent: self.user_agent.map(owned),
        })
    }
}

/// No status, or 0, stands for a connection that ended first.
fn status(value: &Value) -> Option<u16> {
    let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
    status.filter(|status| (100..1_000).contains(status))
}

/// A time as Caddy and Traefik write it: seconds, milliseconds or nanoseconds since 1970, RFC 3339,
/// or the common format's.
fn seconds(time: &Value) -> Result<u64, Malformed> {
    /// Seconds reach this in the year 5138, and milliseconds in 1973.
    const MILLISECONDS: f64 = 1e11;
    /// Nanoseconds reach this in 1970, and milliseconds in the year 318,857.
    const NANOSECONDS: f64 = 1e16;
    let seconds = match (time.as_f64(), time.as_str()) {
        (Some(n), _) if n >= NANOSECONDS => n / 1e9,
        (Some(n), _) if n >= MILLISECONDS => n / 1e3,
        (Some(n), _) => n,
        (None, Some(text)) => match text.parse::<Timestamp>() {
            Ok(time) => time.as_second() as f64,
            Err(_) => return time::parse(text.as_bytes()).map_err(|_| Malformed::BadJsonTime),
        },
        (None, None) => return Err(Malformed::BadJsonTime),
    };
    if seconds < 0.0 {
        return Err(Malformed::TooEarly);
    }
    Ok(seconds as u64)
}
