//! Getting the feed's text, from a server or from a file, when it is another one than last time.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use reqwest::{Client, Url};

use super::error::FeedError;
use super::parse::LIMIT;
use crate::api::{BodyError, http_client, read_body};
use crate::error::BuildError;
use crate::settings::Settings;

/// How long a fetch may take in all: DNS, connection, TLS, headers and body.
const DEADLINE: Duration = Duration::from_secs(30);

/// A validator that is longer is not kept, in bytes.
const LONGEST_VALIDATOR: usize = 512;

/// What tells one version of a feed from another (RFC 9110, section 8.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    /// `ETag`, quotes included. For a file: its time of change and its length.
    pub(crate) etag: Option<String>,
    /// `Last-Modified`, as it was sent.
    pub(crate) last_modified: Option<String>,
}

/// What a fetch brings.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fetched {
    /// It is still the text with the validators that were given.
    Unchanged,
    /// Another text.
    Text {
        text: Vec<u8>,
        validators: Validators,
    },
}

/// Where the feed comes from. Has no `Debug`, for the URL may hold a password or a key.
///
/// No redirect is followed, and the guard's own key is not sent: the feed needs none, and it may be
/// on another host.
pub(crate) struct FeedSource {
    place: Place,
    deadline: Duration,
}

enum Place {
    Server { http: Client, url: Url },
    File(PathBuf),
}

impl FeedSource {
    /// The source that the settings name, if they name one.
    pub(crate) fn new(settings: &Settings) -> Result<Option<Self>, BuildError> {
        let Some(url) = settings.feed_location()? else {
            return Ok(None);
        };
        let place = match url.to_file_path() {
            Ok(path) if url.scheme() == "file" => Place::File(path),
            _ => Place::Server {
                http: http_client(settings)?,
                url,
            },
        };
        Ok(Some(Self {
            place,
            deadline: DEADLINE,
        }))
    }

    #[cfg(test)]
    pub(super) fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// The text, unless it is the one with the validators `known`.
    pub(super) async fn fetch(&self, known: &Validators) -> Result<Fetched, FeedError> {
        let fetch = async {
            match &self.place {
                Place::Server { http, url } => from_server(http, url, known).await,
                Place::File(path) => from_file(path, known).await,
            }
        };
        tokio::time::timeout(self.deadline, fetch)
            .await
            .unwrap_or(Err(FeedError::Timeout {
                limit: self.deadline,
            }))
    }
}

async fn from_server(http: &Client, url: &Url, known: &Validators) -> Result<Fetched, FeedError> {
    let conditions = known.conditions();
    let is_conditional = !conditions.is_empty();
    let response = http
        .get(url.clone())
        .headers(conditions)
        .send()
        .await
        .map_err(FeedError::transport)?;
    match response.status().as_u16() {
        304 if is_conditional => return Ok(Fetched::Unchanged),
        200 => {}
        status => return Err(FeedError::Status { status }),
    }
    let validators = Validators::from_headers(response.headers());
    let text = read_body(response, LIMIT)
        .await
        .map_err(|error| match error {
            BodyError::Encoded => FeedError::Encoded,
            BodyError::TooLong => FeedError::TooLong { limit: LIMIT },
            BodyError::Broken(error) => FeedError::transport(error),
        })?;
    Ok(Fetched::Text { text, validators })
}

/// Reads on another thread: a disk may take its time.
async fn from_file(path: &Path, known: &Validators) -> Result<Fetched, FeedError> {
    let known = known.clone();
    let place = path.to_owned();
    let fetched = tokio::task::spawn_blocking(move || read_file(&place, &known))
        .await
        .map_err(FeedError::given_up)?
        .map_err(|error| FeedError::File {
            path: path.to_owned(),
            source: Arc::new(error),
        })?;
    match fetched {
        Fetched::Text { text, .. } if text.len() > LIMIT => {
            Err(FeedError::TooLong { limit: LIMIT })
        }
        fetched => Ok(fetched),
    }
}

/// The file's text, cut off just behind the limit.
fn read_file(path: &Path, known: &Validators) -> io::Result<Fetched> {
    // Before it is opened: opening a pipe waits for somebody to write to it.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        ));
    }
    let validators = Validators::of_file(&metadata);
    if validators != Validators::default() && validators == *known {
        return Ok(Fetched::Unchanged);
    }
    let mut text = Vec::new();
    File::open(path)?
        .take(LIMIT as u64 + 1)
        .read_to_end(&mut text)?;
    Ok(Fetched::Text { text, validators })
}

impl Validators {
    fn from_headers(headers: &HeaderMap) -> Self {
        let text = |name: HeaderName| {
            let text = headers.get(name)?.to_str().ok()?;
            (!text.is_empty() && text.len() <= LONGEST_VALIDATOR).then(|| text.to_owned())
        };
        Self {
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
        }
    }

    fn of_file(metadata: &fs::Metadata) -> Self {
        let modified = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self {
            etag: modified.map(|time| format!("file:{}-{}", time.as_nanos(), metadata.len())),
            last_modified: None,
        }
    }

    /// The header fields of a conditional request.
    fn conditions(&self) -> HeaderMap {
        [
            (IF_NONE_MATCH, &self.etag),
            (IF_MODIFIED_SINCE, &self.last_modified),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, HeaderValue::from_str(text.as_deref()?).ok()?)))
        .collect()
    }
}

#[cfg(test)]
mod tests;
