//! Publishing once: the key under which a producer may repeat a publish whose answer it
//! did not get, and the memory broker's record of such keys.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use redcast_protocol::Channel;
use sha2::{Digest, Sha256};

use crate::PublishError;

/// How long a key is known: longer than any outage after which a producer would still
/// repeat itself.
pub(crate) const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest key, bytes.
const MAX_KEY_LEN: usize = 255;

/// A producer's own name for one publish: 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OnceKey(Box<str>);

/// Why a text is no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 1 to {MAX_KEY_LEN} visible ASCII characters and no blank")]
pub struct OnceKeyError;

impl OnceKey {
    /// Checks `text` and makes a key of it.
    pub fn parse(text: &str) -> Result<Self, OnceKeyError> {
        let fits = (1..=MAX_KEY_LEN).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(OnceKeyError)
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What became of a publish that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Its events were published by this call.
    Now,
    /// They had been published under the same key before; nothing was published now.
    Before,
}

/// What a key stands for: the channel and the events, by their SHA-256.
pub(crate) type Fingerprint = [u8; 32];

/// The fingerprint of a publish. Each part is preceded by its length, so that no two
/// batches run together to the same bytes.
pub(crate) fn fingerprint(channel: &Channel, payloads: &[Bytes]) -> Fingerprint {
    let mut hash = Sha256::new();
    let parts = payloads.iter().map(|payload| payload.as_ref());
    for part in std::iter::once(channel.as_str().as_bytes()).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// The keys that were published under lately, for one process.
#[derive(Debug)]
pub(crate) struct OnceKeys {
    most: usize,
    known: HashMap<OnceKey, Fingerprint>,
    /// The same keys, oldest first.
    order: VecDeque<(Instant, OnceKey)>,
}

impl OnceKeys {
    /// Remembers the `most` newest keys.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, known: HashMap::new(), order: VecDeque::new() }
    }

    /// Takes note of a publish under `key`, unless it was published before.
    pub(crate) fn take(
        &mut self,
        key: &OnceKey,
        content: Fingerprint,
        now: Instant,
    ) -> Result<Published, PublishError> {
        while self.order.front().is_some_and(|(since, _)| now.duration_since(*since) >= KEPT_FOR) {
            self.forget_oldest();
        }
        match self.known.get(key) {
            Some(before) if *before == content => return Ok(Published::Before),
            Some(_) => return Err(PublishError::KeyTaken),
            None => {}
        }
        if self.order.len() >= self.most {
            self.forget_oldest();
        }
        self.known.insert(key.clone(), content);
        self.order.push_back((now, key.clone()));
        Ok(Published::Now)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.known.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> OnceKey {
        OnceKey::parse(text).unwrap()
    }

    #[test]
    fn a_key_is_visible_ascii_of_at_most_255_characters() {
        for good in ["a", "!~", "8f14e45f-ceea-467f-9bc1-c4a1b2c3d4e5", &"k".repeat(255)] {
            assert_eq!(OnceKey::parse(good).map(|key| key.as_str().to_owned()), Ok(good.into()));
        }
        for bad in ["", " ", "a b", "a\tb", "a\r\n", "\u{7f}", "é", &"k".repeat(256)] {
            assert_eq!(OnceKey::parse(bad), Err(OnceKeyError), "{bad:?}");
        }
    }

    #[test]
    fn what_differs_in_any_part_has_another_fingerprint() {
        let of = |channel: &str, payloads: &[&'static str]| {
            let payloads: Vec<Bytes> = payloads.iter().map(|text| Bytes::from(*text)).collect();
            fingerprint(&Channel::parse(channel).unwrap(), &payloads)
        };
        let all = [
            of("a", &["1", "2"]),
            of("a", &["2", "1"]),
            of("a", &["12"]),
            of("a", &["1", "2", ""]),
            of("a", &[]),
            of("b", &["1", "2"]),
            of("a1", &["2"]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{at}");
        }
        assert_eq!(of("a", &["1", "2"]), all[0]);
    }

    #[test]
    fn the_oldest_key_makes_room_and_a_day_old_one_is_forgotten() {
        let (start, mut keys) = (Instant::now(), OnceKeys::new(2));
        assert_eq!(keys.take(&key("a"), [1; 32], start), Ok(Published::Now));
        assert_eq!(keys.take(&key("b"), [1; 32], start + KEPT_FOR / 2), Ok(Published::Now));
        assert_eq!(keys.take(&key("a"), [1; 32], start), Ok(Published::Before));
        assert_eq!(keys.take(&key("a"), [2; 32], start), Err(PublishError::KeyTaken));
        assert_eq!(keys.take(&key("a"), [2; 32], start + KEPT_FOR), Ok(Published::Now));
        assert_eq!(keys.take(&key("c"), [1; 32], start + KEPT_FOR), Ok(Published::Now));
        assert_eq!((keys.known.len(), keys.order.len()), (2, 2));
        assert_eq!(keys.take(&key("b"), [1; 32], start + KEPT_FOR), Ok(Published::Now));
    }
}
