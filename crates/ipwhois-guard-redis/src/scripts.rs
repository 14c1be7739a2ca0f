//! The scripts, each one call and one trip.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisResult, Script, Value};

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
    Spend "spend.lua"
    Unspend "unspend.lua"
    AddSpent "add_spent.lua"
    BeginAttempt "begin_attempt.lua"
    FailAttempt "fail_attempt.lua"
    ClearFailures "clear_failures.lua"
    Ban "ban.lua"
    Unban "unban.lua"
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

    /// Loads them all in one trip, so that each later call is one. A server that refuses is no reason to do without it:
    /// what it does not know is sent along.
    pub(crate) async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut commands = Pipeline::new();
        for (_, source, _) in &self.0 {
            commands.cmd("SCRIPT").arg("LOAD").arg(*source).ignore();
        }
        match commands.exec_async(connection).await {
            Err(error) if error.is_io_error() => Err(error),
            _ => Ok(()),
        }
    }

    /// Calls one. A server that has forgotten it gets its text.
    pub(crate) async fn call(
        &self,
        connection: &mut MultiplexedConnection,
        call: &Call,
    ) -> RedisResult<Value> {
        let Some((_, source, hash)) = self.0.iter().find(|(name, ..)| *name == call.name) else {
            return Err((ErrorKind::ClientError, "no such script").into());
        };
        match call.command("EVALSHA", hash).query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::NoScriptError => {
                call.command("EVAL", source).query_async(connection).await
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
