//! What the client's errors mean for the guard.

use std::sync::Arc;

use ipwhois_guard_core::store::SharedError;
use redis::{ErrorKind, RedisError, Value};

/// A server's sentence may be long: it may repeat what it was sent.
const LONGEST: usize = 200;

pub(crate) fn shared(error: impl Into<Arc<RedisError>>) -> SharedError {
    let error = error.into();
    match (error.kind(), error.code()) {
        (_, Some("WRONGTYPE")) | (ErrorKind::TypeError, _) => SharedError::Unreadable {
            reason: sentence(&error),
        },
        _ if is_refusal(&error) => SharedError::Refused {
            reason: sentence(&error),
        },
        // A cluster's error has that of its nodes as text only.
        _ if error.to_string().contains("ParseError") => SharedError::Away {
            source: "what answers does not speak the protocol of Redis".into(),
        },
        _ => SharedError::Away {
            source: Box::new(error),
        },
    }
}

/// Whether a server has said no.
pub(crate) fn is_refusal(error: &RedisError) -> bool {
    error.code().is_some() || error.kind() == ErrorKind::AuthenticationFailed
}

pub(crate) fn unreadable(what: &str) -> SharedError {
    SharedError::Unreadable {
        reason: what.to_owned(),
    }
}

/// An answer of a shape that no script of this version gives.
pub(crate) fn unexpected(answer: &Value) -> SharedError {
    let shape = match answer {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "a text",
        Value::Array(_) => "a list",
        _ => "something else",
    };
    unreadable(&format!("a script answered {shape}"))
}

/// Whether another connection may be welcome where this one is not: the name stands for another
/// server now, or the password has changed.
pub(crate) fn is_out_of_place(error: &RedisError) -> bool {
    matches!(error.code(), Some("READONLY" | "NOAUTH"))
}

/// What a server said.
pub(crate) fn sentence(error: &RedisError) -> String {
    let detail = error.detail().unwrap_or_default();
    // Which script it was says nothing to who reads it.
    let detail = detail.split(" script: ").next().unwrap_or_default();
    let sentence = match error.code() {
        Some("MOVED" | "ASK") => {
            "MOVED: this is a Redis Cluster, whose URL begins with redis+cluster".to_owned()
        }
        Some(code) => format!("{code} {detail}"),
        None if error.kind() == ErrorKind::AuthenticationFailed => {
            "authentication failed: the server does not take this user and password".to_owned()
        }
        None if detail.is_empty() => error.category().to_owned(),
        None => format!("{}: {detail}", error.category()),
    };
    let sentence: String = sentence.chars().filter(|c| !c.is_control()).collect();
    sentence.chars().take(LONGEST).collect()
}
