//! The one Lua call that publishes a batch whole or not at all, and at most once for
//! each key.

use bytes::Bytes;
use redcast_protocol::Channel;
use redis::Cmd;

use crate::once::{KEPT_FOR, fingerprint};
use crate::{PublishError, Published};

/// Nothing else runs in Redis meanwhile, so the key and the events stand or fall together.
/// The key goes first: a Redis that may not write says so before an event is out.
///
/// KEYS: the key, or none. ARGV: the channel, the fingerprint, the seconds to keep it, the
/// command that publishes, and the events.
const SCRIPT: &str = "
local kept = KEYS[1] and redis.call('GET', KEYS[1])
if kept then return kept == ARGV[2] and 1 or 2 end
if KEYS[1] then redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
for at = 5, #ARGV do
  local sent = redis.pcall(ARGV[4], ARGV[1], ARGV[at])
  if type(sent) == 'table' then
    if KEYS[1] then redis.call('DEL', KEYS[1]) end
    return sent
  end
end
return 0";

/// What Redis says of a call that it carried out.
const BEFORE: i64 = 1;
const KEY_TAKEN: i64 = 2;

/// The call, which publishes to the Redis channel `name` with `publish` and remembers
/// under `key`. Its text goes along each time: that is less than one event, and saves a
/// second round trip to a Redis that has forgotten it.
pub(super) fn command(
    (publish, name): (&str, &str),
    channel: &Channel,
    payloads: &[Bytes],
    key: Option<&str>,
) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(SCRIPT).arg(usize::from(key.is_some()));
    if let Some(key) = key {
        command.arg(key);
    }
    let content = key.map(|_| fingerprint(channel, payloads)).unwrap_or_default();
    command.arg(name).arg(&content).arg(KEPT_FOR.as_secs()).arg(publish);
    for payload in payloads {
        command.arg(payload.as_ref());
    }
    command
}

/// What the call's answer means.
pub(super) fn read(answer: i64) -> Result<Published, PublishError> {
    match answer {
        BEFORE => Ok(Published::Before),
        KEY_TAKEN => Err(PublishError::KeyTaken),
        _ => Ok(Published::Now),
    }
}
