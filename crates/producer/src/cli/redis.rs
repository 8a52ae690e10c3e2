//! Which Redis, and under which names: the same for all commands.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use redcast_producer::{RedisStore, RedisStoreConfig};

use super::BadConfig;

/// Where page views are counted and published.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Redis")]
pub(super) struct RedisFlags {
    /// redis://[user:password@]host[:port][/db], rediss://… for TLS, or unix:///path
    #[arg(long, global = true, value_name = "URL")]
    #[arg(env = "REDCAST_PRODUCER_REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
    /// A file that holds the URL, for one with a password in it
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "REDCAST_PRODUCER_REDIS_URL_FILE",
        hide_env_values = true
    )]
    redis_url_file: Option<PathBuf>,
    /// Stands before every key and the channel; the gateway's redis.prefix
    #[arg(long, global = true, value_name = "PREFIX", default_value = "")]
    #[arg(env = "REDCAST_PRODUCER_PREFIX", hide_env_values = true, hide_default_value = true)]
    prefix: String,
    /// The statistics are the hash <prefix>{NAMESPACE}:stats
    #[arg(long, global = true, value_name = "NAMESPACE", default_value = "analytics")]
    #[arg(env = "REDCAST_PRODUCER_NAMESPACE", hide_env_values = true)]
    namespace: String,
    /// The channel of the events, as the gateway names it
    #[arg(long, global = true, value_name = "CHANNEL", default_value = "analytics")]
    #[arg(env = "REDCAST_PRODUCER_CHANNEL", hide_env_values = true)]
    channel: String,
}

impl RedisFlags {
    /// Of two that mean the same, the flag wins over the other one's variable.
    pub(super) fn let_flags_win(&mut self, matches: &ArgMatches) {
        let is_flag = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        match (is_flag("redis_url"), is_flag("redis_url_file")) {
            (true, false) => self.redis_url_file = None,
            (false, true) => self.redis_url = None,
            _ => {}
        }
    }

    /// The store; hosts in `own_hosts` are those of the site itself, which refer nobody.
    pub(super) fn store(&self, own_hosts: Vec<String>) -> Result<Arc<RedisStore>> {
        let config = RedisStoreConfig {
            url: self.url()?,
            prefix: self.prefix.clone(),
            namespace: self.namespace.clone(),
            channel: self.channel.clone(),
            own_hosts,
            ..RedisStoreConfig::default()
        };
        let store = RedisStore::connect(config).map_err(|error| BadConfig(error.to_string()))?;
        Ok(Arc::new(store))
    }

    fn url(&self) -> Result<String> {
        let wrong = |text: String| Err(BadConfig(text).into());
        match (&self.redis_url, &self.redis_url_file) {
            (Some(url), None) => Ok(url.clone()),
            (None, Some(path)) => match fs::read_to_string(path) {
                Ok(text) => Ok(text.trim().to_owned()),
                Err(error) => wrong(format!("--redis-url-file {}: {error}", path.display())),
            },
            (Some(_), Some(_)) => {
                wrong("--redis-url and --redis-url-file are both set; which one is meant?".into())
            }
            (None, None) => wrong(
                "no Redis: set --redis-url redis://HOST:6379 or REDCAST_PRODUCER_REDIS_URL".into(),
            ),
        }
    }
}
