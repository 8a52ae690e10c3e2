//! What `publish` and `subscribe` have in common: they read the configuration that a
//! gateway reads, and talk to the same Redis.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use redcast_broker::RedisConfig;

use crate::app::BadConfig;
use crate::cli::ServeFlags;
use crate::settings::BrokerSettings;
use crate::{layers, telemetry};

/// Where Redis is, for commands that talk to it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct RedisFlags {
    /// The configuration file [default: $REDCAST_CONFIG, else ./redcast.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The Redis to talk to
    #[arg(long, value_name = "URL")]
    redis_url: Option<String>,
    /// Write log lines too: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl RedisFlags {
    /// Reads the configuration as `serve` would and answers what concerns Redis.
    pub(crate) fn redis(&self, command: &str) -> Result<RedisConfig> {
        let flags = ServeFlags {
            config: self.config.clone(),
            redis_url: self.redis_url.clone(),
            log_level: self.log_level.clone(),
            ..ServeFlags::default()
        };
        let settings = layers::load(&flags).map_err(BadConfig)?;
        // The level in the file is meant for a gateway; a command speaks in sentences.
        if self.log_level.is_some() {
            telemetry::start_logging(&settings.log).map_err(BadConfig)?;
        }
        match settings.broker() {
            BrokerSettings::Redis(config) => Ok(*config),
            BrokerSettings::Memory(_) => Err(BadConfig(anyhow!(
                "redis.url: {command} needs a Redis; set --redis-url redis://HOST:6379, \
                 REDCAST_REDIS__URL, or url under [redis] in the configuration file"
            ))
            .into()),
        }
    }
}
