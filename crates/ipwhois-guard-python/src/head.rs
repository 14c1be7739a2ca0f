//! A request's head, as servers describe it to WSGI and ASGI applications.
//!
//! Both give the path percent-decoded, and frameworks route by that one. Core decodes what it
//! reads. So what core could take for an escape, a query or a fragment is escaped again.

use std::borrow::Cow;
use std::net::IpAddr;

use ipwhois_guard_core::{Peer, RequestHead};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

/// The headers that core may ask for besides the configured one.
const HEADERS: [&str; 9] = [
    "accept",
    "user-agent",
    "referer",
    "x-forwarded-for",
    "forwarded",
    "x-real-ip",
    "x-forwarded-proto",
    "cf-connecting-ip",
    "true-client-ip",
];

/// What core reads of a request. It is copied, so that it can be read without the interpreter.
#[derive(Debug)]
pub(crate) struct Head {
    method: String,
    path: String,
    peer: Peer,
    headers: Vec<(Cow<'static, str>, Vec<u8>)>,
}

impl RequestHead for Head {
    fn method(&self) -> &str {
        &self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn peer(&self) -> Peer {
        self.peer
    }

    fn header_lines<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let lines = self.headers.iter();
        lines.filter_map(move |(own, value)| (own == name).then_some(value.as_slice()))
    }

    fn no_peer_hint(&self) -> &'static str {
        "the server must set `REMOTE_ADDR` (WSGI) or `client` (ASGI) to the address of the \
         connection; test clients have an option for it"
    }
}

impl Head {
    /// Reads a WSGI environment or an ASGI scope. `configured` is the header that names the client.
    pub(crate) fn read(request: &Bound<'_, PyDict>, configured: &str) -> PyResult<Self> {
        match request.get_item("type")? {
            Some(kind) if request.contains("asgi")? || request.contains("headers")? => {
                Self::of_scope(request, &kind, configured)
            }
            _ => Self::of_environ(request, configured),
        }
    }

    fn of_environ(environ: &Bound<'_, PyDict>, configured: &str) -> PyResult<Self> {
        let text = |name: &str| -> PyResult<Option<String>> {
            match environ.get_item(name)? {
                Some(value) => Ok(Some(value.cast::<PyString>()?.to_cow()?.into_owned())),
                None => Ok(None),
            }
        };
        let mut path = latin1(&text("SCRIPT_NAME")?.unwrap_or_default());
        path.extend(latin1(&text("PATH_INFO")?.unwrap_or_default()));
        let mut headers = Vec::new();
        let others = HEADERS.iter().map(|&name| Cow::Borrowed(name));
        for name in others.chain(unlisted(configured)) {
            if let Some(value) = text(&variable(&name))? {
                headers.push((name, latin1(&value)));
            }
        }
        Ok(Self {
            method: text("REQUEST_METHOD")?.unwrap_or_default(),
            path: escaped(&path),
            peer: peer_of_environ(environ)?,
            headers,
        })
    }

    fn of_scope(
        scope: &Bound<'_, PyDict>,
        kind: &Bound<'_, PyAny>,
        configured: &str,
    ) -> PyResult<Self> {
        // A handshake of a websocket is a GET request, and has no method here.
        let method = match scope.get_item("method")? {
            Some(method) => method.extract()?,
            None if kind.eq("websocket")? => "GET".to_owned(),
            None => String::new(),
        };
        let path: String = match scope.get_item("path")? {
            Some(path) => path.cast::<PyString>()?.to_string_lossy().into_owned(),
            None => String::new(),
        };
        let mut headers = Vec::new();
        if let Some(lines) = scope.get_item("headers")? {
            for line in lines.try_iter()? {
                let line = line?;
                let (name, value) = name_and_value(&line)?;
                let (name, value) = (name.as_bytes(), value.as_bytes());
                if let Some(&known) = HEADERS.iter().find(|known| known.as_bytes() == name) {
                    headers.push((Cow::Borrowed(known), value.to_vec()));
                } else if configured.as_bytes() == name {
                    headers.push((Cow::Owned(configured.to_owned()), value.to_vec()));
                }
            }
        }
        Ok(Self {
            method,
            path: escaped(path.as_bytes()),
            peer: peer_of_scope(scope)?,
            headers,
        })
    }
}

/// The configured header, if it is none of the others.
fn unlisted(configured: &str) -> Option<Cow<'static, str>> {
    let is_listed = HEADERS.contains(&configured);
    (!is_listed).then(|| Cow::Owned(configured.to_owned()))
}

/// `HTTP_X_FORWARDED_FOR` for `x-forwarded-for`.
fn variable(name: &str) -> String {
    let name = name.bytes().map(|byte| match byte {
        b'-' => '_',
        byte => char::from(byte.to_ascii_uppercase()),
    });
    "HTTP_".chars().chain(name).collect()
}

/// The bytes behind a text of WSGI, in which each character is a byte (PEP 3333).
fn latin1(text: &str) -> Vec<u8> {
    let byte = |character| u8::try_from(u32::from(character)).unwrap_or(b'?');
    text.chars().map(byte).collect()
}

/// A decoded path, so written that decoding it once gives it back.
fn escaped(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    if !path.contains(['%', '?', '#']) {
        return path.into_owned();
    }
    let mut escaped = String::with_capacity(path.len().saturating_add(8));
    for character in path.chars() {
        match character {
            '%' => escaped.push_str("%25"),
            '?' => escaped.push_str("%3F"),
            '#' => escaped.push_str("%23"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn name_and_value<'py>(
    line: &Bound<'py, PyAny>,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    if let Ok(line) = line.cast::<PyTuple>() {
        return line.extract().map_err(PyErr::from);
    }
    // Some servers keep them as lists.
    let line = line
        .cast::<PyList>()
        .map_err(|_| PyTypeError::new_err("a header of an ASGI scope is no pair"))?;
    Ok((
        line.get_item(0)?.cast_into()?,
        line.get_item(1)?.cast_into()?,
    ))
}

/// An address as a server writes it. A scope of IPv6 says nothing of the client.
fn address(text: &str) -> Peer {
    let text = text.split('%').next().unwrap_or_default();
    let ip = text.parse::<IpAddr>();
    ip.map_or(Peer::Unknown, Peer::Ip)
}

/// Werkzeug's `ProxyFix` keeps what it replaces. Servers give an empty address to Unix sockets.
fn peer_of_environ(environ: &Bound<'_, PyDict>) -> PyResult<Peer> {
    let original = match environ.get_item("werkzeug.proxy_fix.orig")? {
        Some(original) => original.cast::<PyDict>()?.get_item("REMOTE_ADDR")?,
        None => None,
    };
    let peer = match original {
        Some(peer) if !peer.is_none() => Some(peer),
        _ => environ.get_item("REMOTE_ADDR")?,
    };
    Ok(match peer {
        Some(peer) if !peer.is_none() => match peer.cast::<PyString>()?.to_cow()?.as_ref() {
            "" => Peer::Unix,
            text => address(text),
        },
        _ => Peer::Unknown,
    })
}

/// A server that listens on a Unix socket has a path and no port.
fn peer_of_scope(scope: &Bound<'_, PyDict>) -> PyResult<Peer> {
    let pair = |name: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
        Ok(scope.get_item(name)?.filter(|pair| !pair.is_none()))
    };
    if let Some(client) = pair("client")? {
        let host = client.get_item(0)?;
        let host = host.cast::<PyString>()?.to_cow()?;
        return Ok(if host.is_empty() {
            Peer::Unix
        } else {
            address(&host)
        });
    }
    Ok(match pair("server")? {
        Some(server) if server.get_item(1)?.is_none() => Peer::Unix,
        _ => Peer::Unknown,
    })
}
