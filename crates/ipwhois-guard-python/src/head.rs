//! A request's head, as servers describe it to WSGI and ASGI applications.
//!
//! Both give the path percent-decoded, and frameworks route by that one. Core decodes what it
//! reads. So what core could take for an escape, a query or a fragment is escaped again.

use std::borrow::Cow;
use std::net::IpAddr;

use ipwhois_guard_core::{Peer, RequestHead};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
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

/// The headers that core may ask for, by their names and by their variables in WSGI.
#[derive(Debug)]
pub(crate) struct Headers(Vec<(Name, Py<PyString>)>);

type Name = Cow<'static, str>;

impl Headers {
    /// `configured` names the client.
    pub(crate) fn new(py: Python<'_>, configured: &str) -> Self {
        let configured = configured.to_ascii_lowercase();
        let is_listed = HEADERS.contains(&configured.as_str());
        let configured = (!is_listed).then_some(Cow::Owned(configured));
        let names = HEADERS.iter().map(|&name| Cow::Borrowed(name));
        let with_variable = |name: Name| {
            let variable = PyString::intern(py, &variable(&name)).unbind();
            (name, variable)
        };
        Self(names.chain(configured).map(with_variable).collect())
    }
}

/// What core reads of a request. It is copied, so that it can be read without the interpreter.
#[pyclass(frozen, module = "ipwhois_guard._core")]
#[derive(Debug)]
pub(crate) struct Head {
    method: String,
    path: String,
    peer: Peer,
    headers: Vec<(Name, Vec<u8>)>,
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
    /// Reads a WSGI environment or an ASGI scope.
    pub(crate) fn read(request: &Bound<'_, PyDict>, headers: &Headers) -> PyResult<Self> {
        let py = request.py();
        match request.get_item(intern!(py, "headers"))? {
            Some(lines) => Self::of_scope(request, &lines, headers),
            None => Self::of_environ(request, headers),
        }
    }

    fn of_environ(environ: &Bound<'_, PyDict>, wanted: &Headers) -> PyResult<Self> {
        let py = environ.py();
        let text = |name: &Bound<'_, PyString>| -> PyResult<Option<Vec<u8>>> {
            match environ.get_item(name)? {
                Some(value) => Ok(Some(latin1(value.cast::<PyString>()?.to_cow()?))),
                None => Ok(None),
            }
        };
        let mut path = text(intern!(py, "SCRIPT_NAME"))?.unwrap_or_default();
        path.extend(text(intern!(py, "PATH_INFO"))?.unwrap_or_default());
        let method = text(intern!(py, "REQUEST_METHOD"))?.unwrap_or_default();
        let mut headers = Vec::new();
        for (name, variable) in &wanted.0 {
            if let Some(value) = text(variable.bind(py))? {
                headers.push((name.clone(), value));
            }
        }
        Ok(Self {
            method: String::from_utf8_lossy(&method).into_owned(),
            path: escaped(&path),
            peer: peer_of_environ(environ)?,
            headers,
        })
    }

    fn of_scope(
        scope: &Bound<'_, PyDict>,
        lines: &Bound<'_, PyAny>,
        wanted: &Headers,
    ) -> PyResult<Self> {
        let py = scope.py();
        let text = |name: &Bound<'_, PyString>| -> PyResult<Option<String>> {
            let value = scope.get_item(name)?;
            let value = value.as_ref().map(|value| value.cast::<PyString>());
            let value = value.transpose()?;
            Ok(value.map(|value| value.to_string_lossy().into_owned()))
        };
        let mut headers = Vec::new();
        for line in lines.try_iter()? {
            let (name, value) = name_and_value(&line?)?;
            let is_it = |(known, _): &&(Name, Py<PyString>)| known.as_bytes() == name.as_bytes();
            if let Some((known, _)) = wanted.0.iter().find(is_it) {
                headers.push((known.clone(), value.as_bytes().to_vec()));
            }
        }
        // The handshake of a websocket is a GET request, and has no method here.
        let method = text(intern!(py, "method"))?;
        Ok(Self {
            method: method.unwrap_or_else(|| "GET".to_owned()),
            path: escaped(text(intern!(py, "path"))?.unwrap_or_default().as_bytes()),
            peer: peer_of_scope(scope)?,
            headers,
        })
    }
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
fn latin1(text: Cow<'_, str>) -> Vec<u8> {
    if text.is_ascii() {
        return text.into_owned().into_bytes();
    }
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
        return line.extract();
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
    let py = environ.py();
    let original = match environ.get_item(intern!(py, "werkzeug.proxy_fix.orig"))? {
        Some(original) => original.cast::<PyDict>()?.get_item("REMOTE_ADDR")?,
        None => None,
    };
    let peer = match original {
        Some(peer) if !peer.is_none() => Some(peer),
        _ => environ.get_item(intern!(py, "REMOTE_ADDR"))?,
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
