//! The figures that instances tell each other: one hash in Redis for each.

use std::time::Duration;

use redis::Script;

use super::config::RedisConfig;
use super::names::Names;
use super::pool::Pool;
use crate::SnapshotError;

/// Keeps what one instance tells, drops what is over its time, and sums the rest. All of
/// it in one call and by the clock of Redis, so that the instances' own need not agree.
///
/// Each field is an instance, its value "COUNT EXPIRY", the latter in Unix milliseconds.
/// One that lies further ahead than anybody may tell was written under another clock:
/// it would stay for as long as that clock was ahead.
const SCRIPT: &str = r"
local key, instance, count, lifetime = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if count == '0' then
  redis.call('HDEL', key, instance)
else
  redis.call('HSET', key, instance, string.format('%s %.0f', count, now + lifetime))
  redis.call('PEXPIRE', key, lifetime)
end
local sum = 0
local told = redis.call('HGETALL', key)
for at = 1, #told, 2 do
  local share, expiry = string.match(told[at + 1], '^(%d+) (%d+)$')
  local left = (tonumber(expiry) or 0) - now
  if left > 0 and left <= lifetime then
    sum = sum + tonumber(share)
  else
    redis.call('HDEL', key, told[at])
  end
end
return sum
";

/// Tells this instance's figures and hears the others'.
pub(super) struct Shares {
    pool: Pool,
    names: Names,
    script: Script,
    lifetime: Duration,
}

impl Shares {
    /// Tells over `pool`.
    pub(super) fn new(pool: Pool, config: &RedisConfig) -> Self {
        Self {
            pool,
            names: Names::new(&config.prefix),
            script: Script::new(SCRIPT),
            lifetime: config.share_lifetime,
        }
    }

    /// Tells that `instance` counts `count` for `name`; the sum over all instances, or
    /// within the deadline why there is none.
    pub(super) async fn share(
        &self,
        name: &str,
        instance: &str,
        count: u64,
    ) -> Result<u64, SnapshotError> {
        let lifetime = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        let telling = async {
            let key = self.names.shares(name);
            let mut connection = self.pool.get_for(&key).await?;
            let mut call = self.script.key(key);
            call.arg(instance).arg(count).arg(lifetime);
            let sum = call.invoke_async(&mut connection).await;
            sum.map_err(|error| self.pool.failed("to add up the instances' counts", &error).into())
        };
        self.pool.in_time("it did not answer in time", telling).await
    }
}
