//! Which Redis, and under which names.

use std::fmt;
use std::time::Duration;

use crate::store::StoreError;

/// Settings of a [`crate::RedisStore`].
#[derive(Clone, PartialEq, Eq)]
pub struct RedisStoreConfig {
    /// `redis://[user:password@]host[:port][/db]` or `unix:///path`.
    /// Default: `redis://127.0.0.1:6379`.
    pub url: String,
    /// Stands before every key and the channel. Default: empty.
    pub prefix: String,
    /// The keys are `<prefix>{<namespace>}:…`; the statistics are in `…:stats`.
    /// Default: `analytics`.
    pub namespace: String,
    /// The channel, without the prefix, to which each view is published.
    /// Default: `analytics`.
    pub channel: String,
    /// Hosts of the site itself, which are no referrers: `acme.example`, or
    /// `*.acme.example` for everything below it. Default: none.
    pub own_hosts: Vec<String>,
    /// How long one call may take, connecting included. Default: 2 s.
    pub timeout: Duration,
}

impl Default for RedisStoreConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            prefix: String::new(),
            namespace: "analytics".to_owned(),
            channel: "analytics".to_owned(),
            own_hosts: Vec::new(),
            timeout: Duration::from_secs(2),
        }
    }
}

impl RedisStoreConfig {
    /// Refuses names that the gateway could not read, with a sentence.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        for (what, name) in [("namespace", &self.namespace), ("channel", &self.channel)] {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:@-".contains(&byte);
            if name.is_empty() || name.len() > 255 || !name.bytes().all(fits) {
                return Err(StoreError::Refused(format!(
                    "the {what} {name:?} is not 1 to 255 of the characters A-Z a-z 0-9 _ . : @ -"
                )));
            }
        }
        Ok(())
    }
}

/// Without the URL, which may hold a password.
impl fmt::Debug for RedisStoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreConfig")
            .field("prefix", &self.prefix)
            .field("namespace", &self.namespace)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
