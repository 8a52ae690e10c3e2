//! What must be there before anything is measured.

use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::limits::Limits;
use crate::machine::reserve_descriptors;
use crate::once;
use crate::scenario::Scenario;

/// An error if the kernel grants less than one of `scenarios` needs. Raises this
/// process's limit of open files as far as it may.
pub fn check_limits(scenarios: &[&Scenario]) -> Result<()> {
    let limits = Limits::read();
    for scenario in scenarios {
        let demand = once::demand(scenario);
        let checked = limits.check(demand).and_then(|()| reserve_descriptors(demand.per_process));
        checked.with_context(|| format!("({})", scenario.key))?;
    }
    Ok(())
}

/// An error if there is no redis-server that can be started.
pub fn check_redis_server() -> Result<()> {
    match Command::new("redis-server").arg("--version").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => bail!("redis-server does not work: {}", output.status),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("redis-server is not installed: apt-get install redis-server")
        }
        Err(error) => bail!("redis-server can't be started: {error}"),
    }
}
