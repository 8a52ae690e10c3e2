//! Where the Redis is that a connection should be made to, asked anew for each attempt:
//! after a failover it is somewhere else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, ErrorKind, RedisError, RedisResult};
use tokio::time::timeout;

use super::cluster::{Shard, Topology};
use super::config::{BrokerConfigError, RedisConfig};
use super::connect::with_socket_options;
use super::primary::{Primary, must_be_primary};
use super::sentinel::Sentinels;
use super::server::words;
use super::url::Address;

/// How long a Redis may take to say what it is.
const ROLE_WITHIN: Duration = Duration::from_secs(1);

/// The way to one Redis that takes writes; clones share what they know.
#[derive(Clone)]
pub(super) enum Locator {
    /// It is always there.
    Fixed(Box<ConnectionInfo>),
    /// It is where sentinels say.
    Sentinel(Arc<Primary>),
    /// Any node of a cluster will do: plain channels are told by all.
    Cluster(Arc<Topology>),
    /// It is this primary of a cluster.
    Shard(Shard),
}

impl Locator {
    /// The way to `address`; connects to nothing yet.
    pub(super) fn new(address: &Address, config: &RedisConfig) -> Result<Self, BrokerConfigError> {
        let address = match address {
            Address::One(info) => {
                return Ok(Self::Fixed(Box::new(with_socket_options(info.as_ref().clone()))));
            }
            Address::Cluster(nodes) => return Ok(Self::Cluster(Topology::new(nodes))),
            Address::Sentinel(address) => address,
        };
        let sentinels = address.sentinels.iter().map(|sentinel| {
            let mut settings = sentinel.redis_settings().clone();
            if let Some(password) = &config.sentinel_password {
                settings = settings.set_password(password);
            }
            with_socket_options(sentinel.clone().set_redis_settings(settings))
        });
        let sentinels: Vec<_> = sentinels.collect();
        let sentinels = Sentinels::new(&sentinels, &address.master)
            .map_err(|error| BrokerConfigError::InvalidUrl(words(&error)))?;
        let primary = Primary::new(sentinels, with_socket_options(address.primary.clone()));
        Ok(Self::Sentinel(Arc::new(primary)))
    }

    /// Where it is at this moment.
    pub(super) async fn find(&self) -> RedisResult<ConnectionInfo> {
        match self {
            Self::Fixed(info) => Ok(info.as_ref().clone()),
            Self::Sentinel(primary) => primary.find().await,
            Self::Cluster(topology) => Ok(topology.info(&topology.any().await)),
            Self::Shard(shard) => Ok(shard.info()),
        }
    }

    /// Where it was when somebody looked last, which is a second ago where a watch runs;
    /// asks only if nobody has looked, or if somebody doubts it.
    pub(super) async fn last_found(&self) -> RedisResult<ConnectionInfo> {
        match self {
            Self::Fixed(info) => Ok(info.as_ref().clone()),
            Self::Sentinel(primary) => primary.last_found().await,
            Self::Cluster(_) | Self::Shard(_) => self.find().await,
        }
    }

    /// Whether what was found is what it was said to be, asked of itself.
    pub(super) async fn check(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        match self {
            // A node that has not got the slot of something says so when it is asked for it.
            Self::Fixed(_) | Self::Cluster(_) | Self::Shard(_) => Ok(()),
            Self::Sentinel(_) => must_be_primary(connection, ROLE_WITHIN).await,
        }
    }

    /// Finds it, connects with `dial` and checks it. An attempt is given up as soon as it is
    /// known to be somewhere else, however long the old place would be waited for.
    pub(super) async fn reach<F>(
        &self,
        dial: impl FnOnce(ConnectionInfo) -> F,
    ) -> RedisResult<(ConnectionInfo, MultiplexedConnection)>
    where
        F: Future<Output = RedisResult<MultiplexedConnection>>,
    {
        let info = self.find().await?;
        let connecting = async {
            let mut connection = dial(info.clone()).await?;
            self.check(&mut connection).await?;
            Ok::<_, RedisError>(connection)
        };
        let connection = tokio::select! {
            connected = connecting => connected?,
            reason = self.moved(&info) => {
                return Err((ErrorKind::Io, "another one took over", reason).into());
            }
        };
        Ok((info, connection))
    }

    /// Waits until whoever connected to `info` must leave, and says why. What is always
    /// there is never left, and a primary of a cluster by whoever ends what listens to it.
    pub(super) async fn moved(&self, info: &ConnectionInfo) -> String {
        match self {
            Self::Fixed(_) | Self::Shard(_) => std::future::pending().await,
            Self::Sentinel(primary) => primary.moved(info).await,
            Self::Cluster(topology) => topology.lost(info).await,
        }
    }

    /// The last moment at which `info` was certainly the right place; none where nobody
    /// could know better. What was published since may have gone elsewhere.
    pub(super) fn right_until(&self, info: &ConnectionInfo) -> Option<Instant> {
        match self {
            Self::Fixed(_) => None,
            Self::Sentinel(primary) => primary.right_until(info),
            Self::Cluster(topology) => topology.right_until(info),
            Self::Shard(shard) => shard.right_until(),
        }
    }

    /// A command failed in a way that a failover explains: whoever can look, should.
    pub(super) fn doubt(&self) {
        match self {
            Self::Fixed(_) => {}
            Self::Sentinel(primary) => primary.doubt(),
            Self::Cluster(topology) => topology.doubt(None),
            Self::Shard(shard) => shard.doubt(),
        }
    }

    /// Looks if the last look is older than `age`, for those who have no watch. A look that
    /// fails changes nothing.
    pub(super) async fn refresh(&self, age: Duration) {
        if let Self::Sentinel(primary) = self
            && primary.is_older_than(age)
        {
            // Whoever needs to know will ask again, and tell.
            let _ = timeout(ROLE_WITHIN, primary.find()).await;
        }
    }

    /// What keeps looking, if anything must: one task for all clones.
    pub(super) fn watched(&self) -> Option<Arc<Primary>> {
        match self {
            Self::Fixed(_) | Self::Cluster(_) | Self::Shard(_) => None,
            Self::Sentinel(primary) => Some(Arc::clone(primary)),
        }
    }

    /// The cluster, if it is one.
    pub(super) fn topology(&self) -> Option<&Arc<Topology>> {
        match self {
            Self::Fixed(_) | Self::Sentinel(_) | Self::Shard(_) => None,
            Self::Cluster(topology) => Some(topology),
        }
    }

    /// The primary whose shard channels are listened to, if they are.
    pub(super) fn shard(&self) -> Option<&Shard> {
        match self {
            Self::Fixed(_) | Self::Sentinel(_) | Self::Cluster(_) => None,
            Self::Shard(shard) => Some(shard),
        }
    }
}
