//! A connection for single commands, whatever it takes to reach whoever answers them.

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};

use super::cluster::Routed;

/// A connection for commands about one key.
pub(super) enum Connection {
    /// To the one server there is.
    One(deadpool_redis::Connection),
    /// To whichever node of a cluster has the key when a command is sent.
    Routed(Routed),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Routed(routed) => routed.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Routed(routed) => routed.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Routed(routed) => routed.get_db(),
        }
    }
}
