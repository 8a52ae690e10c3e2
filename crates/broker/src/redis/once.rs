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
/// KEYS: the key, or none, and a stream's own. ARGV: the channel or stream, the fingerprint,
/// the seconds to keep it, how many entries the stream keeps or which command publishes to
/// the channel, and the events.
const SCRIPT: &str = "
local once = ARGV[2] ~= '' and KEYS[1]
local kept = once and redis.call('GET', once)
if kept then return kept == ARGV[2] and 1 or 2 end
if once then redis.call('SET', once, ARGV[2], 'EX', ARGV[3]) end
for at = 5, #ARGV do
  local sent
  if tonumber(ARGV[4]) then
    sent = redis.pcall('XADD', ARGV[1], 'MAXLEN', '~', ARGV[4], '*', 'data', ARGV[at])
  else
    sent = redis.pcall(ARGV[4], ARGV[1], ARGV[at])
  end
  if type(sent) == 'table' then
    if once then redis.call('DEL', once) end
    return sent
  end
end
return 0";

/// What Redis says of a call that it carried out.
const BEFORE: i64 = 1;
const KEY_TAKEN: i64 = 2;

/// How a channel is published to.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// With this command.
    Told(&'static str),
    /// By adding to a stream that keeps so many entries.
    Kept(usize),
}

/// The call, which publishes to what is called `name` in Redis and remembers it under
/// `key`. Its text goes along each time: that is less than one event, and saves a second
/// round trip to a Redis that has forgotten it.
pub(super) fn command(
    (how, name): (How, &str),
    channel: &Channel,
    payloads: &[Bytes],
    key: Option<&str>,
) -> Cmd {
    let mut command = redis::cmd("EVAL");
    let stream = matches!(how, How::Kept(_)).then_some(name);
    let keys: Vec<&str> = key.into_iter().chain(stream).collect();
    command.arg(SCRIPT).arg(keys.len()).arg(keys).arg(name);
    match key {
        Some(_) => command.arg(&fingerprint(channel, payloads)),
        None => command.arg(""),
    };
    command.arg(KEPT_FOR.as_secs());
    match how {
        How::Told(publish) => command.arg(publish),
        How::Kept(max_len) => command.arg(max_len),
    };
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
