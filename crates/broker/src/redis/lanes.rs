//! All lanes of a broker: one for each node, and what is true of them together.

use std::sync::Arc;

use redcast_protocol::Channel;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{BrokerConfigError, RedisConfig};
use super::lane::Lane;
use super::route::Route;
use super::status::Links;
use crate::{BrokerMetrics, DeliverySender, Health};

/// The nodes, of which there is one at least.
pub(super) struct Lanes {
    route: Route,
    lanes: Vec<Lane>,
}

impl Lanes {
    /// Starts a lane for each node on `tracker`, until `cancel`. If one ends before, all do.
    pub(super) fn start(
        config: &Arc<RedisConfig>,
        metrics: BrokerMetrics,
        sender: &DeliverySender,
        (tracker, cancel): (&TaskTracker, CancellationToken),
    ) -> Result<Self, BrokerConfigError> {
        let addresses = config.addresses()?;
        let links = Links::new(addresses.len(), metrics);
        let together = cancel.child_token();
        // Of a lane that can't be made the others learn: nobody would use them.
        let unless_built = together.clone().drop_guard();
        let lanes = addresses.iter().zip(config.urls()).map(|address| {
            let tasks = (tracker, &together);
            Lane::start(address, config, &links, sender.clone(), tasks)
        });
        let lanes = lanes.collect::<Result<Vec<_>, _>>()?;
        unless_built.disarm();
        Ok(Self { route: Route::new(&config.prefix, lanes.len()), lanes })
    }

    /// Where `channel` is published, kept and heard.
    pub(super) fn of(&self, channel: &Channel) -> &Lane {
        &self.lanes[self.route.channel(channel)]
    }

    /// Where what is configured as `key` is kept.
    pub(super) fn of_key(&self, key: &str) -> &Lane {
        &self.lanes[self.route.key(key)]
    }

    /// How they are together: as well as the one that is worst.
    pub(super) fn health(&self) -> Health {
        together(self.lanes.iter().map(Lane::health))
    }
}

/// How several are together: as well as the one that is worst.
pub(super) fn together(nodes: impl Iterator<Item = Health>) -> Health {
    let all: Vec<Health> = nodes.collect();
    // Who looks for what is wrong now is not helped by what was wrong elsewhere.
    let (ready, unwell): (Vec<&Health>, Vec<&Health>) =
        all.iter().partition(|health| health.is_ready());
    let to_tell = if unwell.is_empty() { &ready } else { &unwell };
    let errors: Vec<&str> =
        to_tell.iter().filter_map(|health| health.last_error.as_deref()).collect();
    let silences: Option<Vec<_>> = all.iter().map(|health| health.last_heard).collect();
    let proofs: Option<Vec<_>> = all.iter().map(|health| health.last_proof).collect();
    Health {
        readiness: all.iter().map(|health| health.readiness).max().unwrap_or_default(),
        connected: all.iter().all(|health| health.connected),
        wanted: all.iter().map(|health| health.wanted).sum(),
        confirmed: all.iter().map(|health| health.confirmed).sum(),
        overdue: all.iter().map(|health| health.overdue).sum(),
        last_heard: silences.and_then(|silences| silences.into_iter().max()),
        last_proof: proofs.and_then(|proofs| proofs.into_iter().max()),
        proof_error: to_tell.iter().find_map(|health| health.proof_error.clone()),
        last_error: (!errors.is_empty()).then(|| errors.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Readiness;

    fn well() -> Health {
        Health {
            readiness: Readiness::Ready,
            connected: true,
            wanted: 2,
            confirmed: 2,
            last_heard: Some(Duration::from_millis(5)),
            last_error: Some("an old story".to_owned()),
            ..Health::default()
        }
    }

    #[test]
    fn one_node_that_is_away_makes_all_unready_and_is_named() {
        let away = Health { wanted: 1, last_error: Some("b is away".to_owned()), ..well() };
        let away = Health { connected: false, confirmed: 0, last_heard: None, ..away };
        let away = Health { readiness: Readiness::Outage, ..away };
        let health = together([well(), away.clone(), well()].into_iter());
        assert!(!health.is_ready());
        assert_eq!((health.wanted, health.confirmed, health.last_heard), (5, 4, None));
        assert_eq!(health.last_error.as_deref(), Some("b is away"));
        let both = together([away.clone(), away].into_iter());
        assert_eq!(both.last_error.as_deref(), Some("b is away; b is away"));
    }

    #[test]
    fn the_longest_silence_is_that_of_all() {
        let silent = Health { last_heard: Some(Duration::from_secs(1)), ..well() };
        let health = together([well(), silent].into_iter());
        assert!(health.is_ready());
        assert_eq!(health.last_heard, Some(Duration::from_secs(1)));
    }
}
