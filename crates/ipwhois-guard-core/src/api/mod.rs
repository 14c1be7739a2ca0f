//! The service's client: one call, one deadline, one strict reading of what comes back.

mod quota;
mod reply;
mod report_reply;
mod retry_after;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Response, Url, redirect};

use crate::clock::Clock;
use crate::error::{ApiError, BuildError};
use crate::reports::{BoxFuture, NotAccepted, Report, ReportService};
use crate::service::{CheckFuture, CheckReply, CheckService};
use crate::settings::{ApiKey, Settings};
use crate::verdict::ThreatType;

/// The longest reply that is read, in bytes after decoding.
const MAX_REPLY: usize = 64 * 1_024;

/// How long an unused connection is kept for the next call.
const POOL_IDLE: Duration = Duration::from_secs(2);

const AGENT: &str = concat!(
    "ipwhois-guard/",
    env!("CARGO_PKG_VERSION"),
    " (Rust; data by IPWhois.net)"
);

/// Calls to the service.
///
/// No redirect is followed (a reply is believed from the configured host only), no cookie kept, and
/// no proxy taken from the environment unless `api_proxy_from_env` asks for it.
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
        Ok(Self {
            http: http_client(settings)?,
            base: settings.api_base()?,
            key: key_header(settings, settings.load_key()?)?,
            timeout: settings.api_timeout,
            clock,
        })
    }

    /// What the service says of an address, within `api_timeout`.
    pub(crate) async fn check(&self, ip: IpAddr) -> Result<CheckReply, ApiError> {
        let mut url = self.endpoint("check");
        url.query_pairs_mut().append_pair("ip", &ip.to_string());
        self.within_deadline(async {
            let response = self.send(self.http.get(url)).await?;
            match response.status().as_u16() {
                200 => {
                    let quota = quota::read(response.headers(), self.clock.wall());
                    let reputation = reply::read(&reply_body(response).await?, ip)?;
                    Ok(CheckReply::from(reputation).with_quota(quota))
                }
                _ => Err(self.refusal(response).await),
            }
        })
        .await
    }

    /// Tells the service of an attacker, within `api_timeout`.
    async fn post_report(&self, form: &[(&str, String); 4]) -> Result<(), NotAccepted> {
        self.within_deadline(async {
            let request = self.http.post(self.endpoint("report")).form(form);
            let response = self.send(request).await?;
            match response.status().as_u16() {
                200..=299 => Ok(report_reply::read(&reply_body(response).await?)?),
                _ => Err(NotAccepted {
                    retry_after: retry_after::read(response.headers(), self.clock.wall()),
                    error: self.refusal(response).await,
                }),
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

    async fn send(&self, mut request: RequestBuilder) -> Result<Response, ApiError> {
        if let Some((name, key)) = &self.key {
            request = request.header(name, key);
        }
        request.send().await.map_err(transport)
    }

    async fn within_deadline<T, E: From<ApiError>>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let limit = self.timeout;
        tokio::time::timeout(limit, call)
            .await
            .unwrap_or_else(|_| Err(ApiError::Timeout { limit }.into()))
    }

    /// What a status other than success means. It is the service's word only where the body does
    /// not say otherwise.
    async fn refusal(&self, response: Response) -> ApiError {
        match response.status().as_u16() {
            429 => ApiError::RateLimited {
                retry_after: retry_after::read(response.headers(), self.clock.wall()),
            },
            status @ 400..=499 => match reply_body(response).await {
                Err(page @ ApiError::Page { .. }) => page,
                Ok(body) if matches!(status, 401 | 403) && is_object(&body) => {
                    ApiError::KeyRefused { status }
                }
                _ => ApiError::Status { status },
            },
            status => ApiError::Status { status },
        }
    }
}

impl CheckService for ApiClient {
    fn check(&self, ip: IpAddr) -> CheckFuture<'_> {
        Box::pin(self.check(ip))
    }
}

/// The HTTP client as the service is spoken to: no redirects, no cookies, no proxies unless
/// `api_proxy_from_env`. It adds no key to a request.
pub(crate) fn http_client(settings: &Settings) -> Result<reqwest::Client, BuildError> {
    let mut http = reqwest::Client::builder()
        .user_agent(AGENT)
        .redirect(redirect::Policy::none())
        .referer(false)
        // Calls are few and far between. A connection that the service closes just when it is used
        // again costs an answer, so it is not kept until servers usually close it (after 5 s and
        // more).
        .pool_idle_timeout(POOL_IDLE);
    if !settings.api_proxy_from_env {
        http = http.no_proxy();
    }
    http.build().map_err(|error| {
        BuildError::start("HTTP client (it needs the system's CA certificates)", error)
    })
}

impl ReportService for ApiClient {
    fn deliver<'a>(&'a self, report: &'a Report) -> BoxFuture<'a, Result<(), NotAccepted>> {
        Box::pin(async move {
            let (ip, threat_type) = (report.ip(), report.threat_type());
            let form = form(ip, threat_type, report.message(), report.source());
            self.post_report(&form).await
        })
    }
}

/// The fields of a report as the service's documentation has them.
fn form<'a>(
    ip: IpAddr,
    threat_type: ThreatType,
    message: &str,
    source: &str,
) -> [(&'a str, String); 4] {
    [
        ("ip", ip.to_string()),
        ("type", threat_type.to_string()),
        ("message", message.to_owned()),
        ("source", source.to_owned()),
    ]
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
        .map_err(|_| BuildError::setting("api_key", key.expose(), "cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(Some((name, value)))
}

/// Why a body cannot be had.
pub(crate) enum BodyError {
    Encoded,
    TooLong,
    Broken(reqwest::Error),
}

/// The whole body, if it has `limit` bytes at most. It is never longer in memory, whatever the peer
/// announces or sends.
pub(crate) async fn read_body(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    // None was offered, so whoever encodes the body all the same does not speak to us.
    if let Some(encoding) = response.headers().get(CONTENT_ENCODING)
        && encoding != "identity"
    {
        return Err(BodyError::Encoded);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The body of a reply. The service never sends HTML, so a page comes from elsewhere.
async fn reply_body(response: Response) -> Result<Vec<u8>, ApiError> {
    let status = response.status().as_u16();
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_html = content_type.is_some_and(|text| {
        let text = text.as_bytes().to_ascii_lowercase();
        text.windows(4).any(|word| word == b"html")
    });
    if is_html {
        return Err(ApiError::Page { status });
    }
    let body = body(response).await?;
    match body.trim_ascii_start().first() {
        Some(b'<') => Err(ApiError::Page { status }),
        _ => Ok(body),
    }
}

fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{')
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

async fn body(response: Response) -> Result<Vec<u8>, ApiError> {
    read_body(response, MAX_REPLY)
        .await
        .map_err(|error| match error {
            BodyError::Encoded => ApiError::Malformed {
                reason: "its body is encoded".to_owned(),
            },
            BodyError::TooLong => ApiError::TooLarge { limit: MAX_REPLY },
            BodyError::Broken(error) => transport(error),
        })
}

fn transport(error: reqwest::Error) -> ApiError {
    ApiError::Transport {
        connected: !error.is_connect(),
        source: error.without_url().into(),
    }
}

#[cfg(test)]
mod tests;
