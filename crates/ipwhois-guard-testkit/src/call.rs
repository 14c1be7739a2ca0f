//! Which of the service's three things a request wants.

use std::net::IpAddr;

use crate::behaviour::Endpoint;
use crate::form;
use crate::record::{Check, Report};
use crate::reply::Reply;
use crate::request::Request;

/// A request that was understood.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Check(Check),
    Report(Report),
    /// The feed, with the client's validators.
    Feed {
        if_none_match: Option<String>,
        if_modified_since: Option<String>,
    },
}

impl Call {
    /// Finds the endpoint.
    ///
    /// # Errors
    ///
    /// The reply to a path or method that the service does not have.
    pub(crate) fn read(request: &Request) -> Result<Self, Reply> {
        let owned = |name| request.header(name).map(str::to_owned);
        let (method, allowed) = (request.method.as_str(), |method| {
            // Without a body, so that it is right for HEAD as well.
            Err(Reply::empty(405).with("Allow", method))
        });
        match request.path.as_str() {
            "/api/check" if method == "GET" => Ok(Self::Check(Check {
                ip: form::field(request.query.as_bytes(), "ip").unwrap_or_default(),
                key: owned("x-api-key"),
                user_agent: owned("user-agent"),
                headers: request.headers.clone(),
            })),
            "/api/report" if method == "POST" => {
                let field = |name| form::field(&request.body, name).unwrap_or_default();
                Ok(Self::Report(Report {
                    ip: field("ip"),
                    threat_type: field("type"),
                    message: field("message"),
                    source: field("source"),
                    fields: form::fields(&request.body).collect(),
                    key: owned("x-api-key"),
                    user_agent: owned("user-agent"),
                    headers: request.headers.clone(),
                }))
            }
            "/feed.txt" if method == "GET" => Ok(Self::Feed {
                if_none_match: owned("if-none-match"),
                if_modified_since: owned("if-modified-since"),
            }),
            "/api/check" | "/feed.txt" => allowed("GET"),
            "/api/report" => allowed("POST"),
            _ if method == "HEAD" => Err(Reply::empty(404)),
            _ => Err(Reply::error(404, "not found")),
        }
    }

    pub(crate) const fn endpoint(&self) -> Endpoint {
        match self {
            Self::Check(_) => Endpoint::Check,
            Self::Report(_) => Endpoint::Report,
            Self::Feed { .. } => Endpoint::Feed,
        }
    }

    /// The address that a check asks about.
    pub(crate) fn checked(&self) -> Option<IpAddr> {
        match self {
            Self::Check(check) => check.address(),
            Self::Report(_) | Self::Feed { .. } => None,
        }
    }
}
