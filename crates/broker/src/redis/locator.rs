//! Where the Redis is that a connection should be made to, asked anew for each attempt:
//! after a failover it is somewhere else.

use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, RedisResult};

/// The way to one Redis that takes writes.
#[derive(Debug, Clone)]
pub(super) enum Locator {
    /// It is always there.
    Fixed(Box<ConnectionInfo>),
}

impl Locator {
    /// Where it is at this moment.
    pub(super) async fn find(&self) -> RedisResult<ConnectionInfo> {
        match self {
            Self::Fixed(info) => Ok(info.as_ref().clone()),
        }
    }

    /// Whether what was found is what it was said to be, asked of itself.
    pub(super) async fn check(&self, _: &mut MultiplexedConnection) -> RedisResult<()> {
        match self {
            Self::Fixed(_) => Ok(()),
        }
    }
}
