//! The service's client: one call, one deadline, one strict reading of what comes back.

mod reply;
mod retry_after;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, HeaderName, HeaderValue, USER_AGENT};
use reqwest::{RequestBuilder, Response, Url, redirect};

use crate::clock::Clock;
use crate::error::{ApiError, BuildError};
use crate::service::{CheckFuture, CheckService};
use crate::settings::{ApiKey, Settings};
use crate::verdict::{Reputation, ThreatType};

/// The longest reply that is read, in bytes after decoding.
const MAX_REPLY: usize = 64 * 1_024;

/// How long an unused connection is kept for the next call.
const POOL_IDLE: Duration = Duration::from_secs(2);

const AGENT: &str = concat!(
    "ipwhois-guard/",
    env!("CARGO_PKG_VERSION"),
    " (Rust; data by IPWhois.net)"
);

/// What is sent to the service about an attacker.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) ip: IpAddr,
    pub(crate) threat_type: ThreatType,
    pub(crate) message: String,
}

/// Calls to the service.
///
/// No redirect is followed (a reply is believed from the configured host only), no cookie kept, and no proxy taken from
/// the environment unless `api_proxy_from_env` asks for it.
#[derive(Clone, Debug)]
pub(crate) struct ApiClient {
    http: reqwest::Client,
    base: Url,
    key: Option<(HeaderName, HeaderValue)>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl ApiClient {
    pub(crate) fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let mut http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            // Calls are few and far between. A connection that the service closes just when it is used again costs an
            // answer, so it is not kept until servers usually close it (after 5 s and more).
            .pool_idle_timeout(POOL_IDLE);
        if !settings.api_proxy_from_env {
            http = http.no_proxy();
        }
        Ok(Self {
            http: http.build().map_err(|error| {
                BuildError::start("HTTP client (it needs the system's CA certificates)", error)
            })?,
            base: settings.api_base()?,
            key: key_header(settings, settings.load_key()?)?,
            timeout: settings.api_timeout,
            clock,
        })
    }

    /// What the service says of an address, within `api_timeout`.
    pub(crate) async fn check(&self, ip: IpAddr) -> Result<Reputation, ApiError> {
        let mut url = self.endpoint("check");
        url.query_pairs_mut().append_pair("ip", &ip.to_string());
        self.within_deadline(async {
            let response = self.send(self.http.get(url)).await?;
            match response.status().as_u16() {
                200 => reply::read(&body(response).await?, ip),
                status => Err(self.refusal(status, &response)),
            }
        })
        .await
    }

    /// Tells the service of an attacker, within `api_timeout`.
    pub(crate) async fn report(&self, report: &Report) -> Result<(), ApiError> {
        let ip = report.ip.to_string();
        let form = [
            ("ip", ip.as_str()),
            ("type", report.threat_type.as_str()),
            ("message", report.message.as_str()),
            ("source", "waf"),
        ];
        self.within_deadline(async {
            let request = self.http.post(self.endpoint("report")).form(&form);
            let response = self.send(request).await?;
            match response.status().as_u16() {
                200..=299 => Ok(()),
                status => Err(self.refusal(status, &response)),
            }
        })
        .await
    }

    fn endpoint(&self, name: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}/{name}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let mut request = request.header(USER_AGENT, AGENT);
        if let Some((name, key)) = &self.key {
            request = request.header(name, key);
        }
        request.send().await.map_err(transport)
    }

    async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        tokio::time::timeout(self.timeout, call)
            .await
            .unwrap_or(Err(ApiError::Timeout {
                limit: self.timeout,
            }))
    }

    fn refusal(&self, status: u16, response: &Response) -> ApiError {
        match status {
            429 => ApiError::RateLimited {
                retry_after: retry_after::read(response.headers(), self.clock.wall()),
            },
            401 | 403 => ApiError::KeyRefused { status },
            status => ApiError::Status { status },
        }
    }
}

impl CheckService for ApiClient {
    fn check(&self, ip: IpAddr) -> CheckFuture<'_> {
        Box::pin(self.check(ip))
    }
}

/// The header that carries the key. Marked sensitive, so that no log of the HTTP client shows it.
fn key_header(
    settings: &Settings,
    key: Option<ApiKey>,
) -> Result<Option<(HeaderName, HeaderValue)>, BuildError> {
    let name = HeaderName::from_bytes(settings.api_key_header.as_bytes()).map_err(|_| {
        BuildError::setting(
            "api_key_header",
            &settings.api_key_header,
            "is not a header name",
        )
    })?;
    let Some(key) = key else { return Ok(None) };
    let mut value = HeaderValue::from_str(key.expose())
        .map_err(|_| BuildError::setting("api_key", "(hidden)", "cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

async fn body(mut response: Response) -> Result<Vec<u8>, ApiError> {
    // None was offered, so whoever encodes the body all the same does not speak to us.
    if let Some(encoding) = response.headers().get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(ApiError::Malformed {
            reason: "its body is encoded".to_owned(),
        });
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > MAX_REPLY {
            return Err(ApiError::TooLarge { limit: MAX_REPLY });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn transport(error: reqwest::Error) -> ApiError {
    ApiError::Transport {
        source: error.without_url().into(),
    }
}

#[cfg(test)]
mod tests;
