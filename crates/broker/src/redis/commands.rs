//! The only commands on a subscription's connection, each under a deadline: it asks for
//! channels, plain ones or those of a shard, ends them, and proves that it is alive.
//!
//! What they achieve is told by pushes; a reply is read for a refusal alone.

use std::time::Duration;

use redcast_protocol::Channel;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, RedisResult, ServerErrorKind};
use tokio::time::timeout;

use super::names::Names;
use super::server::words;
use super::wishes::Refusal;

/// What a finished command says.
#[derive(Debug)]
pub(super) enum Done {
    /// Redis answered; these subscriptions it refused.
    Answered(Vec<(Channel, Refusal)>),
    /// Redis answered whether it subscribed to the canary's channel; its words if not.
    Canary(Option<String>),
    /// Redis answered the PING, with whatever.
    Pong,
    /// There was no answer: the link is of no use.
    Broken(String),
}

/// Which of Redis's two kinds of channels a connection carries; each has commands of its
/// own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Told by every node of a cluster, and by a Redis that is none.
    Plain,
    /// Told by the nodes that have the slot of its name.
    Shard,
}

/// The connection and what is needed to speak on it.
#[derive(Clone)]
pub(super) struct Commands {
    /// Which channels it carries.
    pub(super) kind: Kind,
    /// The subscription's connection.
    pub(super) connection: MultiplexedConnection,
    /// How Redis channels are spelled.
    pub(super) names: Names,
    /// How long an answer may take.
    pub(super) deadline: Duration,
}

impl Commands {
    /// Asks for many channels at once; if Redis refuses, one by one, because with ACLs
    /// one refused channel fails the whole command.
    pub(super) async fn subscribe(mut self, channels: Vec<Channel>) -> Done {
        if self.kind == Kind::Shard {
            // Those of one command must have one slot, and channels have many.
            return self.subscribe_singly(channels).await;
        }
        let names = self.spell(&channels);
        let reply = timeout(self.deadline, self.connection.subscribe(names)).await;
        match reply {
            Ok(Err(error)) if is_answer(&error) => self.subscribe_singly(channels).await,
            Ok(reply) => done(reply),
            Err(_) => overdue("SUBSCRIBE"),
        }
    }

    /// Asks for each channel with a command of its own, all in one write.
    pub(super) async fn subscribe_singly(mut self, channels: Vec<Channel>) -> Done {
        let command = self.kind.subscribe();
        match self.one_each(command, &channels).await {
            Some(Err(error)) if is_answer(&error) => Done::Answered(refusals(&channels, error)),
            Some(reply) => done(reply),
            None => overdue(command),
        }
    }

    /// Asks for the canary's channel, which is no event's.
    pub(super) async fn subscribe_canary(mut self, name: String) -> Done {
        let command = self.kind.subscribe();
        let mut subscribe = redis::cmd(command);
        subscribe.arg(name);
        match timeout(self.deadline, subscribe.query_async::<()>(&mut self.connection)).await {
            Ok(Err(error)) if is_answer(&error) => Done::Canary(Some(words(&error))),
            Ok(Err(error)) => Done::Broken(words(&error)),
            Ok(Ok(())) => Done::Canary(None),
            Err(_) => overdue(command),
        }
    }

    /// Ends many subscriptions at once.
    pub(super) async fn unsubscribe(mut self, channels: Vec<Channel>) -> Done {
        if self.kind == Kind::Shard {
            return match self.one_each("SUNSUBSCRIBE", &channels).await {
                // A node that has not got the slot any more has ended it by itself.
                Some(Err(error)) if is_answer(&error) => Done::Answered(Vec::new()),
                Some(reply) => done(reply),
                None => overdue("SUNSUBSCRIBE"),
            };
        }
        let names = self.spell(&channels);
        match timeout(self.deadline, self.connection.unsubscribe(names)).await {
            Ok(reply) => done(reply),
            Err(_) => overdue("UNSUBSCRIBE"),
        }
    }

    /// Sends `command` for each channel, all in one write; nothing if it took too long.
    async fn one_each(&mut self, command: &str, channels: &[Channel]) -> Option<RedisResult<()>> {
        let mut pipeline = redis::pipe();
        for name in self.spell(channels) {
            pipeline.cmd(command).arg(name).ignore();
        }
        timeout(self.deadline, pipeline.query_async(&mut self.connection)).await.ok()
    }

    /// Proves the link. An error that Redis wrote proves it just as well.
    pub(super) async fn ping(mut self) -> Done {
        let ping = redis::cmd("PING");
        match timeout(self.deadline, ping.query_async::<redis::Value>(&mut self.connection)).await {
            Ok(Err(error)) if !is_answer(&error) => Done::Broken(words(&error)),
            Ok(_) => Done::Pong,
            Err(_) => overdue("PING"),
        }
    }

    fn spell(&self, channels: &[Channel]) -> Vec<String> {
        channels.iter().map(|channel| self.names.channel(channel)).collect()
    }
}

impl Kind {
    fn subscribe(self) -> &'static str {
        match self {
            Self::Plain => "SUBSCRIBE",
            Self::Shard => "SSUBSCRIBE",
        }
    }
}

/// Whether Redis itself wrote this error, and the link is therefore sound.
fn is_answer(error: &RedisError) -> bool {
    error.clone().into_server_errors().is_some()
}

fn done(reply: RedisResult<()>) -> Done {
    match reply {
        Ok(()) => Done::Answered(Vec::new()),
        Err(error) => Done::Broken(words(&error)),
    }
}

fn overdue(command: &str) -> Done {
    Done::Broken(format!("it did not answer {command} in time"))
}

fn refusals(channels: &[Channel], error: RedisError) -> Vec<(Channel, Refusal)> {
    let errors = error.into_server_errors();
    let errors = errors.iter().flat_map(|errors| errors.iter());
    errors
        .filter_map(|(index, error)| {
            let is_final = error.kind() == Some(ServerErrorKind::NoPerm);
            let reason = words(&RedisError::from(error.clone()));
            Some((channels.get(*index)?.clone(), Refusal { is_final, reason }))
        })
        .collect()
}
