//! Commands that find the node which has their slot.
//!
//! The client library's own cluster connection is not used: it keeps a map of its own that
//! errors alone correct, so a primary that hangs or was cut off would be asked for as long
//! as its socket is open. Here commands follow the map that subscriptions follow.

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use redis::{ServerError, ServerErrorKind};
use tokio::time::{Instant, sleep};

use super::map::{Node, Redirect};
use super::pools::Pools;

/// How long to wait before somebody who can't do it now is asked again.
const PAUSE: Duration = Duration::from_millis(25);
/// How many redirections are followed at once; more of them are a circle.
const AT_ONCE: usize = 3;

/// A way to whoever has a slot.
pub(in super::super) struct Routed {
    pools: Pools,
    slot: u16,
    anywhere: bool,
}

/// Why a command must be sent once more; no node has carried it out.
pub(super) enum Again {
    /// Somebody else has the slot.
    Moved(Redirect),
    /// Somebody else has the key, but not yet the slot.
    Ask(Node),
    /// Nobody can, at this moment.
    Later,
}

/// Why there is no answer.
enum Failed {
    /// Nothing was sent.
    Unsent(RedisError),
    /// It may have been carried out.
    Lost(RedisError),
}

/// Some commands and what became of them.
struct Batch<'a> {
    commands: Vec<&'a Cmd>,
    /// The last answer to each.
    answers: Vec<Value>,
    /// Those that must be sent once more.
    open: Vec<usize>,
}

impl Routed {
    /// To whoever has `slot`.
    pub(super) fn new(pools: Pools, slot: u16, anywhere: bool) -> Self {
        Self { pools, slot, anywhere }
    }

    /// Sends `commands` until each is answered, or most of the time is over.
    async fn send(&self, commands: Vec<&Cmd>) -> RedisResult<Vec<Value>> {
        let topology = &self.pools.topology;
        // The caller's own deadline is a little later, so that it still hears why.
        let until = Instant::now() + self.pools.deadline * 4 / 5;
        let mut batch = Batch::of(commands);
        let (mut ask, mut hops) = (None, 0);
        loop {
            let again = match self.attempt(&mut batch, ask.take()).await {
                Ok(None) => return Ok(batch.answers),
                Ok(Some(again)) if Instant::now() < until => again,
                Ok(Some(_)) => return Ok(batch.answers),
                Err(Failed::Unsent(_)) if Instant::now() < until => Again::Later,
                Err(Failed::Unsent(error) | Failed::Lost(error)) => {
                    topology.doubt(None);
                    return Err(error);
                }
            };
            hops += 1;
            match again {
                Again::Moved(redirect) => topology.moved(&redirect),
                Again::Ask(node) => ask = Some(node),
                Again::Later => topology.refresh().await,
            }
            if hops > AT_ONCE {
                sleep(PAUSE).await;
            }
        }
    }

    async fn attempt(
        &self,
        batch: &mut Batch<'_>,
        ask: Option<Node>,
    ) -> Result<Option<Again>, Failed> {
        let (mut connection, node) = match &ask {
            Some(node) => (self.pools.get(node).await.map_err(Failed::Unsent)?, node.clone()),
            None => self.connect().await.map_err(Failed::Unsent)?,
        };
        let answers = batch.exchange(&mut connection, ask.is_some()).await;
        Ok(batch.take(answers.map_err(Failed::Lost)?, &node))
    }

    async fn connect(&self) -> RedisResult<(deadpool_redis::Connection, Node)> {
        let map = self.pools.topology.map();
        let error = match map.primary_of(self.slot) {
            Some(node) => match self.pools.get(node).await {
                Ok(connection) => return Ok((connection, node.clone())),
                Err(error) => error,
            },
            None => (ErrorKind::Client, "no node of the cluster has this slot").into(),
        };
        if !self.anywhere {
            return Err(error);
        }
        self.pools.topology.doubt(None);
        let node = self.pools.topology.any().await;
        Ok((self.pools.get(&node).await?, node))
    }
}

impl<'a> Batch<'a> {
    fn of(commands: Vec<&'a Cmd>) -> Self {
        let count = commands.len();
        Self { commands, answers: vec![Value::Nil; count], open: (0..count).collect() }
    }

    /// Sends what is open, and each with leave to be served ahead of the slot if `asking`.
    async fn exchange(
        &self,
        connection: &mut impl ConnectionLike,
        asking: bool,
    ) -> RedisResult<Vec<Value>> {
        if let ([only], false) = (self.open.as_slice(), asking) {
            return Ok(vec![connection.req_packed_command(self.commands[*only]).await?]);
        }
        let mut pipeline = redis::pipe();
        for at in &self.open {
            if asking {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(self.commands[*at].clone());
        }
        let answers = connection.req_packed_commands(&pipeline, 0, pipeline.len()).await?;
        let each = if asking { 2 } else { 1 };
        Ok(answers.into_iter().skip(each - 1).step_by(each).collect())
    }

    /// Takes what `node` answered. Returns why something is still open, if it is.
    fn take(&mut self, answers: Vec<Value>, node: &Node) -> Option<Again> {
        let mut first = None;
        let mut open = Vec::new();
        for (at, answer) in std::mem::take(&mut self.open).into_iter().zip(answers) {
            if let Value::ServerError(error) = &answer
                && let Some(again) = again(error, node)
            {
                first.get_or_insert(again);
                open.push(at);
            }
            self.answers[at] = answer;
        }
        self.open = open;
        first
    }
}

/// What an error of `asked` means for where to ask; nothing if it is the answer.
pub(super) fn again(error: &ServerError, asked: &Node) -> Option<Again> {
    let redirect = || Redirect::read(error.details()?, Some(asked));
    match error.kind()? {
        ServerErrorKind::Moved => redirect().map(Again::Moved),
        ServerErrorKind::Ask => redirect().map(|redirect| Again::Ask(redirect.node)),
        ServerErrorKind::TryAgain
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::ReadOnly
        | ServerErrorKind::BusyLoading => Some(Again::Later),
        _ => None,
    }
}

impl ConnectionLike for Routed {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let mut answers = self.send(vec![command]).await?;
            Ok(answers.pop().unwrap_or(Value::Nil))
        })
    }

    /// Everything in `pipeline` is about the one slot.
    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        _: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            if count != pipeline.len() {
                // Its commands would be redirected one by one, and it is meant to be whole.
                let why = "a transaction is not sent to a cluster";
                return Err((ErrorKind::InvalidClientConfig, why).into());
            }
            self.send(pipeline.cmd_iter().collect()).await
        })
    }

    fn get_db(&self) -> i64 {
        0
    }
}
