//! Where Redis is: the URL, checked before anything is connected.

use ipwhois_guard_core::{BuildError, SecretUrl};
use redis::{Client, ConnectionAddr};

use crate::connection::{Place, Servers, cluster};
use crate::nodes::Nodes;
use crate::sentinel::Sentinels;

const SETTING: &str = "redis_url";
const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

const NO_URL: &str =
    "is no URL; one is written `redis://host:6379/0`, or `rediss://:password@host:6380` by TLS";

/// Reads a URL. Nothing is connected. An error shows nothing of it: a connection string of another
/// form may hold a password anywhere.
pub(crate) fn place(url: &str) -> Result<Place, BuildError> {
    let slip = SecretUrl::new(url).slip();
    slip.map_or_else(|| read(url), Err)
        .map_err(|reason| BuildError::setting(SETTING, url, reason))
}

fn read(url: &str) -> Result<Place, String> {
    let (scheme, rest) = url.split_once("://").ok_or(NO_URL)?;
    if rest.contains('#') {
        return Err("has a fragment; `#` in a password is written %23".to_owned());
    }
    let tls = scheme.starts_with("rediss");
    match scheme {
        "redis" | "rediss" => {
            check_query(rest, &[], "the database is the path, as in /1")?;
            one(url, tls)
        }
        "redis+unix" | "unix" => {
            check_query(rest, &["db", "user", "pass"], "db, user and pass are known")?;
            one(url, tls)
        }
        "redis+sentinel" | "rediss+sentinel" => sentinels(Many::read(rest, SENTINEL_PORT)?, tls),
        "redis+cluster" | "rediss+cluster" => nodes(&Many::read(rest, PORT)?, tls),
        _ => Err("is no redis, rediss, redis+unix, redis+sentinel or redis+cluster URL".to_owned()),
    }
}

fn one(url: &str, tls: bool) -> Result<Place, String> {
    let client = client(url)?;
    let database = client.get_connection_info().redis.db;
    Ok(Place {
        servers: Servers::One(client),
        database,
        tls,
    })
}

fn sentinels(many: Many<'_>, tls: bool) -> Result<Place, String> {
    let known = "sentinel_user and sentinel_pass are known";
    let parameters = check_query(many.rest, &["sentinel_user", "sentinel_pass"], known)?;
    let (service, database) = many.path.split_once('/').unwrap_or((many.path, "0"));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if service.is_empty() || !service.bytes().all(is_plain) {
        return Err(
            "names no service of the Sentinels; it is the path, as in /mymaster/0".to_owned(),
        );
    }
    let parameter = |name| {
        let mut found = parameters.iter().filter(|(known, _)| *known == name);
        found.next().map_or("", |(_, value)| value)
    };
    let login = match (parameter("sentinel_user"), parameter("sentinel_pass")) {
        ("", "") => String::new(),
        (user, pass) => format!("{user}:{pass}@"),
    };
    // The host is any one: the Sentinels name the primary's.
    let primary = client(&format!("redis://{}host/{database}", many.login))?;
    let login_at_primary = primary.get_connection_info().redis.clone();
    Ok(Place {
        database: login_at_primary.db,
        tls,
        servers: Servers::Sentinels(Sentinels {
            nodes: Nodes::new(many.clients(tls, &login)?),
            service: service.to_owned(),
            tls,
            login: login_at_primary,
        }),
    })
}

fn nodes(many: &Many<'_>, tls: bool) -> Result<Place, String> {
    check_query(many.rest, &[], "a cluster takes none")?;
    if !matches!(many.path, "" | "0") {
        return Err("names a database; a cluster has 0 only".to_owned());
    }
    let clients = many.clients(tls, many.login)?;
    let known = clients
        .iter()
        .map(|client| client.get_connection_info().clone());
    let client = cluster(known.collect()).map_err(|error| format!("is no Redis URL: {error}"))?;
    Ok(Place {
        servers: Servers::Cluster(client, Nodes::new(clients)),
        database: 0,
        tls,
    })
}

/// `user:password@host:port,host:port/path?query`, of which the hosts are needed.
struct Many<'u> {
    rest: &'u str,
    /// With its `@`.
    login: &'u str,
    hosts: Vec<String>,
    path: &'u str,
}

impl<'u> Many<'u> {
    fn read(rest: &'u str, port: u16) -> Result<Self, String> {
        let before = rest.split_once('?').map_or(rest, |(before, _)| before);
        let (authority, path) = before.split_once('/').unwrap_or((before, ""));
        let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        if login.matches('@').count() > 1 {
            let reason = "has a second `@`; user and password stand once, in front of all hosts";
            return Err(reason.to_owned());
        }
        let with_port = |host: &str| {
            // What follows the colons of an IPv6 address is behind its bracket.
            let end = host.rsplit(']').next().unwrap_or(host);
            match (host.is_empty(), end.contains(':')) {
                (true, _) => Err("names no host where one should be".to_owned()),
                (_, true) => Ok(host.to_owned()),
                (_, false) => Ok(format!("{host}:{port}")),
            }
        };
        let hosts: Result<_, String> = hosts.split(',').map(with_port).collect();
        Ok(Self {
            rest,
            login,
            hosts: hosts?,
            path,
        })
    }

    fn clients(&self, tls: bool, login: &str) -> Result<Vec<Client>, String> {
        let scheme = if tls { "rediss" } else { "redis" };
        let hosts = self.hosts.iter();
        hosts
            .map(|host| client(&format!("{scheme}://{login}{host}/")))
            .collect()
    }
}

fn client(url: &str) -> Result<Client, String> {
    let client = Client::open(url).map_err(|error| format!("is no Redis URL: {error}"))?;
    let info = client.get_connection_info();
    match &info.addr {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            if host.is_empty() || *port == 0 {
                return Err("names no host and port".to_owned());
            }
            if host.contains(',') {
                let reason = "names several hosts; redis+sentinel and redis+cluster URLs do";
                return Err(reason.to_owned());
            }
        }
        ConnectionAddr::Unix(_) => {}
    }
    if info.redis.db < 0 {
        return Err("has a database number below zero".to_owned());
    }
    Ok(client)
}

/// Whoever mistypes a parameter learns it, instead of getting another database.
fn check_query<'u>(
    rest: &'u str,
    known: &[&str],
    hint: &str,
) -> Result<Vec<(&'u str, &'u str)>, String> {
    let Some((_, query)) = rest.split_once('?') else {
        return Ok(Vec::new());
    };
    if known.is_empty() {
        return Err(format!("has a query; {hint}"));
    }
    let parameters = query.split('&').map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if known.contains(&name) {
            Ok((name, value))
        } else {
            // It may be the rest of a password.
            Err(format!("has an unknown parameter; {hint}"))
        }
    });
    parameters.collect()
}

#[cfg(test)]
mod tests;
