//! The scripts, each one call and one trip.

use futures_util::future::join_all;
use redis::{Cmd, ErrorKind, RedisResult, Script, Value};

use crate::connection::Connection;

macro_rules! scripts {
    ($($name:ident $file:literal)*) => {
        /// What can be asked of Redis.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Name { $($name),* }

        const SOURCES: &[(Name, &str)] = &[$((
            Name::$name,
            concat!(include_str!("lua/common.lua"), include_str!(concat!("lua/", $file))),
        )),*];
    };
}

scripts! {
    Look "look.lua"
    Learn "learn.lua"
    Release "release.lua"
    Grant "grant.lua"
    GiveBack "give_back.lua"
    BeginAttempt "begin_attempt.lua"
    FailAttempt "fail_attempt.lua"
    EndAttempt "end_attempt.lua"
    ClearFailures "clear_failures.lua"
    TellBans "tell_bans.lua"
    Greet "greet.lua"
    Bans "bans.lua"
}

/// All scripts with their hashes.
#[derive(Debug)]
pub(crate) struct Scripts(Vec<(Name, &'static str, String)>);

impl Scripts {
    pub(crate) fn new() -> Self {
        let scripts = SOURCES.iter().map(|(name, source)| {
            let hash = Script::new(source).get_hash().to_owned();
            (*name, *source, hash)
        });
        Self(scripts.collect())
    }

    /// Loads them all in one trip, into all primaries of a cluster, so that each later call is one.
    /// A server that refuses is no reason to do without it: what it does not know is sent along.
    pub(crate) async fn load(&self, connection: &Connection) -> RedisResult<()> {
        let loads = self.0.iter().map(|(_, source, _)| {
            let mut connection = connection.clone();
            let mut command = redis::cmd("SCRIPT");
            command.arg("LOAD").arg(*source);
            async move { connection.ask(&command).await }
        });
        let failure = join_all(loads).await.into_iter().filter_map(Result::err);
        match failure.into_iter().find(|error| error.is_io_error()) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Calls one. A server that has forgotten it gets its text.
    pub(crate) async fn call(
        &self,
        connection: &mut Connection,
        call: &Call,
    ) -> RedisResult<Value> {
        let Some((_, source, hash)) = self.0.iter().find(|(name, ..)| *name == call.name) else {
            return Err((ErrorKind::ClientError, "no such script").into());
        };
        match connection.ask(&call.command("EVALSHA", hash)).await {
            Err(error) if error.kind() == ErrorKind::NoScriptError => {
                connection.ask(&call.command("EVAL", source)).await
            }
            answer => answer,
        }
    }
}

/// A script with its keys and arguments.
#[derive(Debug)]
pub(crate) struct Call {
    name: Name,
    keys: Vec<String>,
    arguments: Vec<String>,
}

impl Call {
    pub(crate) fn new(name: Name, keys: impl Into<Vec<String>>) -> Self {
        Self {
            name,
            keys: keys.into(),
            arguments: Vec::new(),
        }
    }

    pub(crate) fn arg(mut self, argument: impl ToString) -> Self {
        self.arguments.push(argument.to_string());
        self
    }

    fn command(&self, how: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(how);
        command
            .arg(script)
            .arg(self.keys.len())
            .arg(&self.keys)
            .arg(&self.arguments);
        command
    }
}
