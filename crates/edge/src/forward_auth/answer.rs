//! What the hook's answer to a handshake it admits may say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redcast_node::Grant;
use redcast_protocol::Pattern;
use serde_json::{Map, Value};

/// The last second of the year 9999, which is the last that RFC 3339 can write. A larger
/// number is most likely milliseconds, and would mean a connection that never expires.
const LAST_SECOND: f64 = 253_402_300_799.0;
/// More bytes than any name of a user has.
const MAX_USER_BYTES: usize = 255;

/// An answer that can't be understood. No text of the answer is repeated: it may hold
/// what no log should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("its body is neither empty nor a JSON object")]
    NotAnObject,
    #[error("its \"user\" is neither a text of at most {MAX_USER_BYTES} bytes nor a whole number")]
    BadUser,
    #[error("its \"subscribe\" is not a list of globs over channel names")]
    BadSubscribe,
    #[error("its \"expires_at\" is neither Unix time in seconds nor RFC 3339 text")]
    BadExpiry,
}

/// Reads the body of a 2xx. Unknown fields are ignored, so that a hook can serve newer
/// gateways too; null is the same as left out, because many languages write it so.
pub(crate) fn read(body: &[u8]) -> Result<Grant, AnswerError> {
    if body.trim_ascii().is_empty() {
        return Ok(Grant::default());
    }
    let answer: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| AnswerError::NotAnObject)?;
    let field = |name| answer.get(name).filter(|value| !value.is_null());
    Ok(Grant {
        user: field("user").map(user).transpose()?,
        subscribe: field("subscribe").map(globs).transpose()?,
        expires_at: field("expires_at").map(expiry).transpose()?,
    })
}

fn user(value: &Value) -> Result<String, AnswerError> {
    match value {
        Value::String(text) if text.len() <= MAX_USER_BYTES => Ok(text.clone()),
        Value::Number(id) if !id.is_f64() => Ok(id.to_string()),
        _ => Err(AnswerError::BadUser),
    }
}

fn globs(value: &Value) -> Result<Vec<Pattern>, AnswerError> {
    let globs = value.as_array().ok_or(AnswerError::BadSubscribe)?;
    let pattern = |glob: &Value| glob.as_str().and_then(|glob| Pattern::parse(glob).ok());
    globs.iter().map(|glob| pattern(glob).ok_or(AnswerError::BadSubscribe)).collect()
}

fn expiry(value: &Value) -> Result<SystemTime, AnswerError> {
    let time = match value {
        Value::Number(seconds) => seconds.as_f64().and_then(from_unix),
        Value::String(text) => from_rfc3339(text),
        _ => None,
    };
    time.ok_or(AnswerError::BadExpiry)
}

fn from_unix(seconds: f64) -> Option<SystemTime> {
    // What lies before the epoch is over, like the epoch itself.
    let since_epoch = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
    if seconds > LAST_SECOND { None } else { UNIX_EPOCH.checked_add(since_epoch) }
}

/// RFC 3339 section 5.6. The library reads Coordinated Universal Time alone, so the
/// offset is taken off before and subtracted after.
fn from_rfc3339(text: &str) -> Option<SystemTime> {
    let text = text.to_ascii_uppercase();
    if let Some(utc) = text.strip_suffix('Z') {
        return from_utc(utc);
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (ahead, offset) = match offset.split_at_checked(1)? {
        ("+", offset) => (true, offset),
        ("-", offset) => (false, offset),
        _ => return None,
    };
    let (hours, minutes) = offset.split_once(':')?;
    let (hours, minutes) = (digits(hours, 23)?, digits(minutes, 59)?);
    let offset = Duration::from_secs((hours * 60 + minutes) * 60);
    let local = from_utc(local)?;
    if ahead { local.checked_sub(offset) } else { local.checked_add(offset) }
}

fn from_utc(text: &str) -> Option<SystemTime> {
    // The library would also take a second offset, and a dot without digits.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"-T:.".contains(&byte));
    let fraction = text.split_once('.').map_or("0", |(_, fraction)| fraction);
    if !plain || !(1..=9).contains(&fraction.len()) {
        return None;
    }
    humantime::parse_rfc3339(&format!("{text}Z")).ok()
}

fn digits(text: &str, most: u64) -> Option<u64> {
    let two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = two.then(|| text.parse().ok()).flatten()?;
    (number <= most).then_some(number)
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
