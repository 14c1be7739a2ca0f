//! What the stand-in does instead of answering as the service would.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// How a request is treated. Set with [`StandIn::behave`](crate::StandIn::behave) and its
/// relatives.
///
/// "The normal answer" is what the service would say at the time of answering. Times are real time:
/// a paused clock in the test's own runtime has no hold on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Behaviour {
    /// The normal answer, at once.
    #[default]
    Normal,
    /// The normal answer after this time.
    Delay(Duration),
    /// No answer. The connection stays until the client closes it.
    Hang,
    /// The normal answer once [`StandIn::release`](crate::StandIn::release) is called after the
    /// request arrived.
    Held,
    /// The connection is reset (TCP RST) without a byte.
    Reset,
    /// The head and half of the body of the normal answer, then a reset.
    ResetMidBody,
    /// The connection is closed in order (TCP FIN) without a byte.
    CloseEarly,
    /// The head of the normal answer with its full `Content-Length`, half of the body, then an
    /// orderly close.
    Truncated,
    /// The normal answer, its body one byte at a time with this pause before each.
    SlowBody {
        /// The pause before each byte.
        pause: Duration,
    },
    /// Status 200 and a JSON body that goes on as long as the client reads.
    Endless,
    /// Interim replies (status 103) as fast as the client reads them, and never a final one.
    InterimStorm,
    /// This answer, whatever was asked.
    Reply {
        /// The status code.
        status: u16,
        /// The header fields, sent as they are. `Content-Length` is added unless it or
        /// `Transfer-Encoding` is among them, or the status allows no body.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Status 302 with this `Location`.
    Redirect(String),
    /// Exactly these bytes, then an orderly close.
    Raw(Vec<u8>),
    /// Status 429.
    RateLimited {
        /// The value of `Retry-After`, sent as it is; without one the header is missing.
        retry_after: Option<String>,
    },
}

impl Behaviour {
    /// An answer with this status, content type and body.
    #[must_use]
    pub fn reply(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: body.into(),
        }
    }

    /// An answer with this status and a JSON error for a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::reply(status, JSON, format!(r#"{{"error":"status {status}"}}"#))
    }

    /// Status 200 with this text as JSON. It is not looked at, so it may be broken.
    #[must_use]
    pub fn json(text: impl Into<String>) -> Self {
        Self::reply(200, JSON, text.into())
    }

    /// Status 200 with an HTML page: what a captive portal or a misconfigured proxy says.
    #[must_use]
    pub fn html() -> Self {
        let page = "<!DOCTYPE html>\n<html><head><title>Maintenance</title></head>\
                    <body><h1>We will be back soon</h1></body></html>\n";
        Self::reply(200, "text/html; charset=utf-8", page)
    }

    /// Status 429 with this `Retry-After`, in seconds.
    #[must_use]
    pub fn rate_limited(seconds: u64) -> Self {
        Self::RateLimited {
            retry_after: Some(seconds.to_string()),
        }
    }
}

pub(crate) const JSON: &str = "application/json";

/// One of the three things that the service offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// `GET /api/check`
    Check,
    /// `POST /api/report`
    Report,
    /// `GET /feed.txt`
    Feed,
}

/// The behaviours in force, the most particular one first: address, endpoint, all.
#[derive(Debug, Default)]
pub(crate) struct Behaviours {
    all: Behaviour,
    endpoints: HashMap<Endpoint, Behaviour>,
    addresses: HashMap<IpAddr, Behaviour>,
}

impl Behaviours {
    pub(crate) fn set_all(&mut self, behaviour: Behaviour) {
        self.all = behaviour;
    }

    pub(crate) fn set_endpoint(&mut self, endpoint: Endpoint, behaviour: Behaviour) {
        self.endpoints.insert(endpoint, behaviour);
    }

    pub(crate) fn set_address(&mut self, ip: IpAddr, behaviour: Behaviour) {
        self.addresses.insert(ip.to_canonical(), behaviour);
    }

    /// What applies to a request at `endpoint`; `checked` is the address that a check asks about.
    pub(crate) fn choose(&self, endpoint: Endpoint, checked: Option<IpAddr>) -> Behaviour {
        checked
            .and_then(|ip| self.addresses.get(&ip.to_canonical()))
            .or_else(|| self.endpoints.get(&endpoint))
            .unwrap_or(&self.all)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(26, 0, 0, 1));

    #[test]
    fn the_most_particular_behaviour_wins() {
        let mut behaviours = Behaviours::default();
        behaviours.set_all(Behaviour::Hang);
        behaviours.set_endpoint(Endpoint::Check, Behaviour::Reset);
        behaviours.set_address(CLIENT, Behaviour::Normal);

        let choose = |endpoint, checked| behaviours.choose(endpoint, checked);
        assert_eq!(choose(Endpoint::Check, Some(CLIENT)), Behaviour::Normal);
        assert_eq!(choose(Endpoint::Check, None), Behaviour::Reset);
        assert_eq!(choose(Endpoint::Report, None), Behaviour::Hang);
        assert_eq!(choose(Endpoint::Feed, None), Behaviour::Hang);
    }

    #[test]
    fn an_ipv4_mapped_address_means_the_ipv4_inside() {
        let mut behaviours = Behaviours::default();
        let mapped = "::ffff:26.0.0.1".parse().unwrap();
        behaviours.set_address(mapped, Behaviour::Hang);
        assert_eq!(
            behaviours.choose(Endpoint::Check, Some(CLIENT)),
            Behaviour::Hang
        );
    }
}
