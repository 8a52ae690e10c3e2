//! `redcast healthcheck`: asks a running gateway how it is, for containers that hold
//! nothing else which could.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use redcast_edge::probe;

use crate::app::BadConfig;
use crate::banner::reachable;
use crate::cli::ServeFlags;
use crate::layers;
use crate::terminal::print;

/// A gateway that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most that is repeated of an answer, characters: why a gateway is not ready, which
/// /readyz says first, fits.
const LONGEST: usize = 250;

/// Flags of `healthcheck`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  \
    redcast healthcheck\n  \
    redcast healthcheck --ready\n  \
    HEALTHCHECK CMD [\"redcast\", \"healthcheck\"]\n\n\
    It asks the address in admin.listen, which it reads as `serve` does: from the same\n\
    file, variables and flags. A gateway on 0.0.0.0 is asked on the loopback address.\n\n\
    Exit codes: 0 healthy, 1 not, 2 wrong usage, 78 wrong configuration.")]
pub(crate) struct HealthcheckFlags {
    /// Ask whether it is ready for clients (/readyz), not only alive (/livez)
    #[arg(long)]
    ready: bool,
    /// The configuration file [default: $REDCAST_CONFIG, else ./redcast.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the gateway's metrics and health answer, e.g. 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
}

/// Asks and prints the answer in one line; answers the exit code.
pub(crate) async fn healthcheck(flags: &HealthcheckFlags) -> Result<u8> {
    let address = reachable(admin_address(flags)?);
    // A refusal should say what it is made of.
    let (path, good) = if flags.ready { ("/readyz?verbose", "ready") } else { ("/livez", "alive") };
    let url = format!("http://{address}{path}");
    let answer = probe(address, path, PATIENCE).await.with_context(|| url.clone())?;
    if answer.status != 200 {
        bail!("not {good}: {url} answered {}: {}", answer.status, gist(&answer.body));
    }
    print(format!("{good}: {url} answered 200\n"))?;
    Ok(0)
}

/// What may be said of an answer: whoever listens there may send pages.
fn gist(body: &str) -> String {
    let line = body.trim().lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

fn admin_address(flags: &HealthcheckFlags) -> Result<SocketAddr> {
    let flags = ServeFlags {
        config: flags.config.clone(),
        admin_listen: flags.admin_listen.clone(),
        ..ServeFlags::default()
    };
    Ok(*layers::load(&flags).map_err(BadConfig)?.admin.listen)
}
