//! Which Redis, and under which names.

use std::fmt;
use std::time::Duration;

use crate::store::StoreError;

/// Settings of a [`crate::RedisStore`].
#[derive(Clone, PartialEq, Eq)]
pub struct RedisStoreConfig {
    /// `redis://[user:password@]host[:port][/db]`, `rediss://…` for TLS, or `unix:///path`.
    /// Default: `redis://127.0.0.1:6379`. For TLS the process has installed a provider of
    /// cryptography.
    pub url: String,
    /// What TLS trusts and shows. Default: what the system trusts, and nothing.
    pub tls: StoreTls,
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

/// What TLS to Redis trusts and shows, as PEM (RFC 7468).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreTls {
    /// The certificates that are trusted instead of the system's.
    pub ca: Option<Vec<u8>>,
    /// The certificate that is shown, with its chain, and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl Default for RedisStoreConfig {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            tls: StoreTls::default(),
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
