//! Where Redis is: the URL, checked before anything is connected.

use ipwhois_guard_core::BuildError;
use redis::{Client, ConnectionAddr};

const SETTING: &str = "redis_url";

/// Reads a URL. Nothing is connected.
pub(crate) fn client(url: &str) -> Result<Client, BuildError> {
    read(url).map_err(|reason| BuildError::Setting {
        setting: SETTING.to_owned(),
        value: without_password(url),
        reason,
    })
}

fn read(url: &str) -> Result<Client, String> {
    let (scheme, rest) = url.split_once("://").ok_or("is no URL")?;
    let is_socket = match scheme {
        "redis" | "rediss" => false,
        "redis+unix" | "unix" => true,
        _ if scheme.contains("sentinel") || scheme.contains("cluster") => {
            return Err("asks for Sentinel or Cluster, which are not supported".to_owned());
        }
        _ => return Err("is neither a redis, a rediss nor a redis+unix URL".to_owned()),
    };
    if rest.contains('#') {
        return Err("has a fragment; `#` in a password is written %23".to_owned());
    }
    if let Some((_, query)) = rest.split_once('?') {
        check_query(query, is_socket)?;
    }
    let client = Client::open(url).map_err(|error| format!("is no Redis URL: {error}"))?;
    let info = client.get_connection_info();
    match &info.addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }
            if host.is_empty() || *port == 0 =>
        {
            Err("names no host and port".to_owned())
        }
        _ if info.redis.db < 0 => Err("has a database number below zero".to_owned()),
        _ => Ok(client),
    }
}

/// Whoever mistypes a parameter learns it, instead of getting another database.
fn check_query(query: &str, is_socket: bool) -> Result<(), String> {
    for parameter in query.split('&') {
        let name = parameter
            .split_once('=')
            .map_or(parameter, |(name, _)| name);
        if !is_socket {
            return Err("has a query; the database is the path, as in /1".to_owned());
        }
        if !matches!(name, "db" | "user" | "pass") {
            return Err(format!(
                "has the parameter `{name}`; db, user and pass are known"
            ));
        }
    }
    Ok(())
}

/// A URL for an error. What may be a password is left out, in a text that is no URL as well.
pub(crate) fn without_password(url: &str) -> String {
    let (scheme, rest) = url
        .split_once("://")
        .map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (hidden, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("(hidden)@", rest),
        None => ("", rest),
    };
    let separator = if scheme.is_empty() { "" } else { "://" };
    match rest.split_once(['?', '#']) {
        Some((before, _)) => format!("{scheme}{separator}{hidden}{before}?(hidden)"),
        None => format!("{scheme}{separator}{hidden}{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(url: &str, sentence: &str) {
        let error = client(url).expect_err("it is refused");
        assert_eq!(error.to_string(), sentence);
    }

    #[track_caller]
    fn check_read(url: &str, addr: &str, db: i64, user: Option<&str>, password: Option<&str>) {
        let client = client(url).expect("it is a URL");
        let info = client.get_connection_info();
        assert_eq!(info.addr.to_string(), addr);
        assert_eq!(info.redis.db, db);
        assert_eq!(info.redis.username.as_deref(), user);
        assert_eq!(info.redis.password.as_deref(), password);
    }

    #[test]
    fn urls_say_where_and_who_and_which_database() {
        check_read("redis://redis.example", "redis.example:6379", 0, None, None);
        check_read("redis://25.0.0.1:7000/3", "25.0.0.1:7000", 3, None, None);
        check_read("redis://[3ffe::1]:7000", "3ffe::1:7000", 0, None, None);
        check_read(
            "rediss://guard:p%40ss@redis.example:6380/1",
            "redis.example:6380",
            1,
            Some("guard"),
            Some("p@ss"),
        );
        check_read(
            "redis://:only@redis.example",
            "redis.example:6379",
            0,
            None,
            Some("only"),
        );
        check_read(
            "redis+unix:///run/redis.sock?db=2&user=guard&pass=p%26ss",
            "/run/redis.sock",
            2,
            Some("guard"),
            Some("p&ss"),
        );
    }

    #[test]
    fn an_url_that_cannot_be_used_is_named_without_its_password() {
        check_refused(
            "redis://guard:secret@redis.example/one",
            "setting `redis_url`: `redis://(hidden)@redis.example/one` is no Redis URL: Invalid database number- \
             InvalidClientConfig",
        );
        check_refused(
            "http://:secret@redis.example",
            "setting `redis_url`: `http://(hidden)@redis.example` is neither a redis, a rediss nor a redis+unix URL",
        );
        check_refused(
            "redis.example",
            "setting `redis_url`: `redis.example` is no URL",
        );
        check_refused(
            "guard:secret@redis.example",
            "setting `redis_url`: `(hidden)@redis.example` is no URL",
        );
        check_refused(
            "redis+sentinel://:secret@redis.example/main",
            "setting `redis_url`: `redis+sentinel://(hidden)@redis.example/main` asks for Sentinel or Cluster, which are \
             not supported",
        );
        check_refused(
            "redis+unix:///run/redis.sock?pass=secret&database=1",
            "setting `redis_url`: `redis+unix:///run/redis.sock?(hidden)` has the parameter `database`; db, user and pass \
             are known",
        );
        check_refused(
            "redis://redis.example?db=1",
            "setting `redis_url`: `redis://redis.example?(hidden)` has a query; the database is the path, as in /1",
        );
        check_refused(
            "rediss://:secret@redis.example#insecure",
            "setting `redis_url`: `rediss://(hidden)@redis.example?(hidden)` has a fragment; `#` in a password is \
             written %23",
        );
        check_refused(
            "redis://redis.example/-1",
            "setting `redis_url`: `redis://redis.example/-1` has a database number below zero",
        );
        check_refused(
            "redis://redis.example:0",
            "setting `redis_url`: `redis://redis.example:0` names no host and port",
        );
        check_refused(
            "redis://:sec/ret@redis.example",
            "setting `redis_url`: `redis://(hidden)@redis.example` is no Redis URL: Redis URL did not parse- \
             InvalidClientConfig",
        );
    }
}
