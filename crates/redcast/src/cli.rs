//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::check_config::CheckConfigFlags;
use crate::completions::CompletionsFlags;
use crate::config_schema::ConfigSchemaFlags;
use crate::healthcheck::HealthcheckFlags;
use crate::print_config::PrintConfigFlags;
use crate::publish::PublishFlags;
use crate::subscribe::SubscribeFlags;
use crate::version;

const SERVE_EXAMPLES: &str = "Examples:\n  redcast serve --demo\n  \
    redcast serve --redis-url redis://127.0.0.1:6379 --listen 0.0.0.0:8080\n  \
    redcast serve --config /etc/redcast.toml --log-level info,redcast_edge=debug\n\n\
    SIGTERM gives all connections back over shutdown.window; a second one ends at once.";

/// A WebSocket gateway over Redis pub/sub: PUBLISH reaches every browser.
#[derive(Debug, Parser)]
#[command(name = "redcast", version = version::LONG, args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:\n  redcast serve --demo\n  \
    redcast serve --redis-url redis://127.0.0.1:6379\n  \
    REDCAST_REDIS__URL=redis://127.0.0.1:6379 redcast\n  \
    redcast subscribe analytics\n  \
    redcast publish analytics '{\"hello\":\"world\"}'\n\n\
    Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage, 78 wrong configuration,\n130 a second signal ended it at once.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeFlags,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway (what `redcast` does without a command).
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeFlags),
    /// Publish events to a channel.
    Publish(PublishFlags),
    /// Print the events of channels as they come.
    Subscribe(SubscribeFlags),
    /// Ask the gateway on this machine whether it is well.
    Healthcheck(HealthcheckFlags),
    /// Print what a shell needs to complete commands and flags.
    Completions(CompletionsFlags),
    /// Judge the configuration, as `serve` would read it.
    CheckConfig(CheckConfigFlags),
    /// Print the effective configuration and where each value comes from.
    PrintConfig(PrintConfigFlags),
    /// Print the JSON Schema of the configuration file.
    ConfigSchema(ConfigSchemaFlags),
}

/// Flags of `serve`; each wins over file and environment.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ServeFlags {
    /// The configuration file [default: $REDCAST_CONFIG, else ./redcast.toml]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where clients connect, e.g. 0.0.0.0:8080
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Where metrics and health answer, e.g. 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<String>,
    /// The Redis to listen to; without one, the memory broker serves this process
    #[arg(long, value_name = "URL")]
    pub(crate) redis_url: Option<String>,
    /// off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Publish synthetic page views, to have something to look at
    #[arg(long)]
    pub(crate) demo: bool,
}

impl Cli {
    /// What was asked for; without a word, to serve.
    pub(crate) fn command(self) -> Command {
        self.command.unwrap_or(Command::Serve(self.serve))
    }
}

impl ServeFlags {
    /// The settings that these flags set: flag, key and value.
    pub(crate) fn overrides(&self) -> Vec<(&'static str, &'static str, String)> {
        let flags = [
            ("--listen", "http.listen", &self.listen),
            ("--admin-listen", "admin.listen", &self.admin_listen),
            ("--redis-url", "redis.url", &self.redis_url),
            ("--log-level", "log.level", &self.log_level),
        ];
        let set = flags.map(|(flag, key, value)| Some((flag, key, value.clone()?)));
        set.into_iter().flatten().collect()
    }
}
