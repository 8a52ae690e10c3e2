//! Every Redis key and channel of the producer is spelled here and nowhere else.
//!
//! All keys of one namespace carry it as their hash tag, so that in a Redis Cluster they
//! live in one slot and one script may touch them all.

use std::time::{Duration, SystemTime};

use crate::salts::Day;

/// How many minutes the lists of pages and referrers, and the row of counts, reach back.
pub(super) const WINDOW_MINUTES: u64 = 30;
/// Visitors are estimated over this many buckets of ten seconds: five minutes.
const BUCKETS: u64 = 30;
const BUCKET_SECONDS: u64 = 10;

/// The names of one namespace.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// `<prefix>{<namespace>}`.
    base: String,
    /// The Redis channel that carries the events.
    pub(super) channel: String,
}

impl Names {
    /// Names that begin with `prefix`, which may be empty.
    pub(super) fn new(prefix: &str, namespace: &str, channel: &str) -> Self {
        Self { base: format!("{prefix}{{{namespace}}}"), channel: format!("{prefix}{channel}") }
    }

    /// The keys of each call, in the order in which record.lua names them. `batch` is the
    /// id under which the call is known to have been made.
    pub(super) fn keys(&self, now: SystemTime, batch: &str) -> Vec<String> {
        let (day, minute) = (Day::of(now), minute(now));
        let bucket = seconds(now) / BUCKET_SECONDS;
        let key = |rest: &dyn std::fmt::Display| format!("{}:{rest}", self.base);
        vec![
            key(&"stats"),
            key(&"state"),
            key(&"total"),
            key(&format_args!("batch:{batch}")),
            key(&"views"),
            key(&"visitors"),
            key(&format_args!("visitors:day:{day}")),
            key(&format_args!("views:day:{day}")),
            key(&"pages"),
            key(&"referrers"),
            self.pages_of(minute),
            self.referrers_of(minute),
            self.visitors_of(bucket),
        ]
    }

    /// The keys that follow them in a call that brings the whole document up to date: the
    /// minutes that may have left the window since a moment at which it was right, and
    /// the buckets of visitors of the last five minutes.
    pub(super) fn refresh_keys(&self, now: SystemTime) -> impl Iterator<Item = String> {
        let minute = minute(now);
        let bucket = seconds(now) / BUCKET_SECONDS;
        let left =
            minute.saturating_sub(2 * WINDOW_MINUTES - 2)..=minute.saturating_sub(WINDOW_MINUTES);
        let buckets = bucket.saturating_sub(BUCKETS - 1)..=bucket;
        let pages = left.clone().map(|minute| self.pages_of(minute));
        let referrers = left.map(|minute| self.referrers_of(minute));
        pages.chain(referrers).chain(buckets.map(|bucket| self.visitors_of(bucket)))
    }

    /// The key of a day's salt.
    pub(super) fn salt(&self, day: Day) -> String {
        format!("{}:salt:{day}", self.base)
    }

    fn pages_of(&self, minute: u64) -> String {
        format!("{}:pages:{minute}", self.base)
    }

    fn referrers_of(&self, minute: u64) -> String {
        format!("{}:referrers:{minute}", self.base)
    }

    fn visitors_of(&self, bucket: u64) -> String {
        format!("{}:visitors:{bucket}", self.base)
    }
}

/// Milliseconds since 1970.
pub(super) fn milliseconds(at: SystemTime) -> u64 {
    u64::try_from(since_1970(at).as_millis()).unwrap_or(u64::MAX)
}

fn seconds(at: SystemTime) -> u64 {
    since_1970(at).as_secs()
}

fn minute(at: SystemTime) -> u64 {
    seconds(at) / 60
}

fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// The part of a key that decides its slot (Redis Cluster specification, "Hash tags").
    fn tag(key: &str) -> &str {
        let (_, rest) = key.split_once('{').unwrap();
        let (tag, _) = rest.split_once('}').unwrap();
        assert!(!tag.is_empty());
        tag
    }

    #[test]
    fn all_keys_share_one_hash_tag() {
        let now = SystemTime::now();
        for (prefix, expected) in [("", "shop"), ("live:", "shop"), ("{eu}:", "eu")] {
            let names = Names::new(prefix, "shop", "analytics");
            let mut keys = names.keys(now, "0123");
            keys.extend(names.refresh_keys(now));
            keys.push(names.salt(Day::of(now)));
            let tags: HashSet<&str> = keys.iter().map(|key| tag(key)).collect();
            assert_eq!(tags, HashSet::from([expected]));
            assert!(keys.iter().all(|key| key.starts_with(prefix)));
            assert_eq!(names.channel, format!("{prefix}analytics"));
        }
    }

    #[test]
    fn the_document_is_where_the_gateway_s_documents_say() {
        let names = Names::new("live:", "analytics", "analytics");
        assert_eq!(names.keys(SystemTime::now(), "")[0], "live:{analytics}:stats");
    }

    #[test]
    fn every_minute_that_leaves_the_window_is_named_once() {
        let names = Names::new("", "n", "c");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000 * 60);
        let keys: Vec<String> = names.refresh_keys(now).collect();
        assert_eq!(keys.len(), 29 + 29 + 30);
        assert_eq!((keys[0].as_str(), keys[28].as_str()), ("{n}:pages:942", "{n}:pages:970"));
        assert_eq!(keys[29], "{n}:referrers:942");
        assert_eq!(
            (keys[58].as_str(), keys[87].as_str()),
            ("{n}:visitors:5971", "{n}:visitors:6000")
        );
        let mut before = Vec::new();
        for minute in 971..=1_000 {
            before.push(names.pages_of(minute));
        }
        assert!(before.iter().all(|key| !keys.contains(key)), "what is inside stays");
    }
}
