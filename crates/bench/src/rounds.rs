//! Memory over several rounds of clients that come and go: what a server does not give
//! back, or does not use again, shows as growth.

use std::slice;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::clients::Clients;
use crate::contender::Contender;
use crate::machine::{wait, wait_until};
use crate::measure::{Setting, rest};
use crate::process::resident_kb;
use crate::progress::Progress;
use crate::server::{self, Server};
use crate::table::number;

/// How often the clients come and go.
pub const ROUNDS: usize = 5;

/// How long the gateway may take to notice that all clients have gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Resident memory of a server over the rounds, KB.
#[derive(Debug, Clone, PartialEq)]
pub struct Rounds {
    /// Before the first client.
    pub fresh_kb: u64,
    /// At the end of each round, after the last client has gone.
    pub after_kb: Vec<u64>,
}

impl Rounds {
    /// What the memory after the last round is to that after the first.
    pub fn growth(&self) -> Option<f64> {
        let (first, last) = (self.after_kb.first()?, self.after_kb.last()?);
        Some(*last as f64 / *first as f64)
    }

    /// One line with all values, in MB.
    pub fn line(&self) -> String {
        let mb = |kb: &u64| number(Some(*kb as f64 / 1024.0), 1);
        let after: Vec<String> = self.after_kb.iter().map(mb).collect();
        let growth = number(self.growth(), 3);
        format!(
            "fresh {} MB; after each round {} MB; last ÷ first {growth}",
            mb(&self.fresh_kb),
            after.join(", ")
        )
    }
}

/// Lets `clients` come, rest and go [`ROUNDS`] times.
pub fn measure(
    gateway: &Contender,
    setting: &Setting,
    clients: usize,
    progress: &Progress,
) -> Result<Rounds> {
    let cpu = setting.cpus.map(|cpus| cpus.server);
    let mut server = Server::start(gateway, &setting.redis, cpu)?;
    let rounds = run(&server, setting, clients, progress);
    rounds.map_err(|error| server::explain(slice::from_mut(&mut server), error))
}

fn run(server: &Server, setting: &Setting, count: usize, progress: &Progress) -> Result<Rounds> {
    wait(setting.settle)?;
    let mut rounds = Rounds { fresh_kb: resident_kb(server.pid())?, after_kb: Vec::new() };
    for round in 1..=ROUNDS {
        progress.show(&format!("(rounds) round {round} of {ROUNDS}: {count} in and out"));
        let mut clients = Clients::open(&server.target, count)?;
        rest(&mut clients, setting.settle)?;
        clients.close()?;
        await_gauge(server, 0)?;
        rounds.after_kb.push(resident_kb(server.pid())?);
    }
    Ok(rounds)
}

fn await_gauge(server: &Server, expected: u64) -> Result<()> {
    let mut gauge = Ok(0.0);
    wait_until(PATIENCE, || {
        gauge = server.metric("redcast_connections");
        gauge.as_ref().map_or(true, |&gauge| gauge as u64 == expected)
    })?;
    let gauge = gauge? as u64;
    ensure!(gauge == expected, "{gauge} of the clients that left are still counted");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_that_of_the_last_round_over_the_first() {
        let rounds = Rounds { fresh_kb: 10_240, after_kb: vec![20_480, 30_000, 22_528] };
        assert_eq!(rounds.growth(), Some(1.1));
        let line = "fresh 10.0 MB; after each round 20.0, 29.3, 22.0 MB; last ÷ first 1.100";
        assert_eq!(rounds.line(), line);
    }
}
