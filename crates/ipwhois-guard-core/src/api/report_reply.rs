//! Reading the reply to a report: accepted only when nothing in it says otherwise.

use serde::Deserialize;
use serde_json::Value;

use super::reply::object;
use crate::error::ApiError;

/// The fields in which services say that a request failed although the status is 200. Others exist
/// and are ignored; a field that stands twice is an error.
#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    error: Value,
    #[serde(default)]
    status: Value,
    #[serde(default)]
    success: Value,
}

/// Whether a reply of success accepts the report: its body is empty, or a JSON object without an
/// `error` (null and `false` are none), without `"success": false`, and with no `status` that is
/// `false`, `error` or `fail…`.
pub(super) fn read(body: &[u8]) -> Result<(), ApiError> {
    let body = body.trim_ascii();
    if body.is_empty() {
        return Ok(());
    }
    let text = object(body).ok_or_else(|| not_accepted("its body is no JSON object in UTF-8"))?;
    let reply: Reply = serde_json::from_str(text)
        .map_err(|_| not_accepted("its body is no JSON, or a field is doubled"))?;
    if !matches!(reply.error, Value::Null | Value::Bool(false)) {
        return Err(not_accepted("it has an `error`"));
    }
    if reply.success == Value::Bool(false) {
        return Err(not_accepted("`success` is false"));
    }
    if says_no(&reply.status) {
        return Err(not_accepted("its `status` is an error"));
    }
    Ok(())
}

fn says_no(status: &Value) -> bool {
    match status {
        Value::Bool(is_good) => !is_good,
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            text == "error" || text.starts_with("fail")
        }
        _ => false,
    }
}

/// Never quotes the body, which is not for the log.
fn not_accepted(reason: &str) -> ApiError {
    ApiError::Malformed {
        reason: format!("the report was not accepted: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn accept(body: &str) {
        assert!(read(body.as_bytes()).is_ok(), "{body} was not accepted");
    }

    #[track_caller]
    fn refuse(body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let result = read(body);
        let is_told = matches!(&result, Err(ApiError::Malformed { reason }) if reason.starts_with("the report was not accepted"));
        assert!(is_told, "{}: {result:?}", String::from_utf8_lossy(body));
    }

    #[test]
    fn an_empty_body_or_an_object_without_an_error_accepts() {
        accept("");
        accept(" \r\n");
        accept("{}");
        accept(r#"{"status":"ok"}"#);
        accept(r#" {"success":true,"error":null,"id":7} "#);
        accept(r#"{"error":false,"status":true}"#);
        accept(r#"{"status":200,"message":"error"}"#);
        accept(r#"{"status":"ok","errors":[]}"#);
        accept(r#"{"note":1e999}"#);
    }

    #[test]
    fn an_object_that_speaks_of_an_error_does_not() {
        refuse(r#"{"error":"invalid ip"}"#);
        refuse(r#"{"error":""}"#);
        refuse(r#"{"error":true}"#);
        refuse(r#"{"error":{"code":7}}"#);
        refuse(r#"{"success":false}"#);
        refuse(r#"{"status":false}"#);
        refuse(r#"{"status":"error"}"#);
        refuse(r#"{"status":"Error "}"#);
        refuse(r#"{"status":"fail"}"#);
        refuse(r#"{"status":"FAILED"}"#);
        refuse(r#"{"status":"failure","success":true}"#);
    }

    #[test]
    fn what_is_no_object_does_not() {
        refuse("<!DOCTYPE html><html></html>");
        refuse("ok");
        refuse("true");
        refuse("null");
        refuse("[]");
        refuse(r#"[null,"ok",true]"#);
        refuse(r#""ok""#);
        refuse(r#"{"status":"ok""#);
        refuse(r#"{"status":"ok"} {}"#);
        refuse(r#"{"status":"error","status":"ok"}"#);
        refuse(b"\xff{}");
        refuse(b"{\"note\":\"\xff\"}");
        refuse(format!("{{\"deep\":{}", "[".repeat(60_000)));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>) {
            let _ = read(&body);
        }
    }
}
