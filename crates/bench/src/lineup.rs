//! Who is measured in which scenario, and who is left out for what reason.

use anyhow::Result;

use crate::contender::Contender;
use crate::machine::Interrupted;
use crate::once;
use crate::scenario::{Pair, Scenario};
use crate::setup::Setup;

/// A scenario and who is measured in it, the baseline first.
pub type Row = (&'static Scenario, Vec<Contender>);

/// What a peer from a package is measured in: the cost of a delivery, of an idle
/// connection and of a handshake. The other scenarios show how far the gateway carries
/// and what its own settings do.
const WITH_PACKAGED: [&str; 5] = ["a", "b1", "b2", "e", "f"];

/// Who of `contenders` is measured in each of `scenarios`.
pub fn line_up(scenarios: &[&'static Scenario], contenders: &[Contender]) -> Vec<Row> {
    scenarios.iter().map(|&scenario| (scenario, lineup(scenario, contenders))).collect()
}

/// Who of `contenders` is measured in `scenario`, the baseline first.
fn lineup(scenario: &Scenario, contenders: &[Contender]) -> Vec<Contender> {
    let channels = channels(scenario);
    let setup = Setup { channels, ..Setup::default() };
    let Some(Pair { names: [plain, changed], changed: other }) = scenario.pair else {
        let able = contenders.iter().filter(|contender| {
            contender.can_serve(setup) && refusal(scenario, contender).is_none()
        });
        return able.map(|contender| contender.set_up(setup)).collect();
    };
    let gateway = contenders.iter().filter(|contender| contender.is_gateway());
    let both = |gateway: &Contender| {
        let other = Setup { channels, ..other };
        [gateway.labelled(plain).set_up(setup), gateway.labelled(changed).set_up(other)]
    };
    gateway.flat_map(both).collect()
}

/// Why a peer is not measured in `scenario`; none if it is, or if `contender` is none.
fn refusal(scenario: &Scenario, contender: &Contender) -> Option<&'static str> {
    if !contender.is_peer() {
        None
    } else if contender.is_optional() && !WITH_PACKAGED.contains(&scenario.key) {
        Some("servers from packages are measured in a, b1, b2, e and f")
    } else if scenario.pair.is_some() || once::runs_once(scenario) {
        Some("only the gateway is measured there")
    } else if channels(scenario) > 1 {
        Some("a peer has one channel")
    } else {
        None
    }
}

fn channels(scenario: &Scenario) -> usize {
    scenario.traffic.map_or(1, |traffic| traffic.channels)
}

/// What a run goes on without: one sentence for each, told at once and in the report.
#[derive(Debug, Default)]
pub struct LeftOut(Vec<String>);

impl LeftOut {
    /// Notes which of `scenarios` each peer among `contenders` has no place in.
    pub fn note_refusals(&mut self, scenarios: &[&Scenario], contenders: &[Contender]) {
        for contender in contenders {
            let refusals = scenarios.iter().filter_map(|scenario| {
                Some((refusal(scenario, contender)?, format!("({})", scenario.key)))
            });
            let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
            for (reason, key) in refusals {
                match by_reason.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, keys)) => keys.push(key),
                    None => by_reason.push((reason, vec![key])),
                }
            }
            for (reason, keys) in by_reason {
                self.note(format!("{} of {}: {reason}", intro(contender), keys.join(", ")));
            }
        }
    }

    /// None if `result` failed and the run goes on without it, which `place` says more
    /// exactly. What failed because Redis, which `has_redis` asks for, is gone is nobody
    /// else's fault and ends the run.
    pub fn unless<T>(
        &mut self,
        result: Result<T>,
        contender: &Contender,
        place: &str,
        has_redis: impl FnOnce() -> bool,
    ) -> Result<Option<T>> {
        match result {
            Err(error) if contender.is_optional() && !error.is::<Interrupted>() && has_redis() => {
                self.note(format!("{}{place}: {error:#}", intro(contender)));
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    /// The sentences.
    pub fn into_notes(self) -> Vec<String> {
        self.0
    }

    fn note(&mut self, note: String) {
        eprintln!("note: {note}");
        self.0.push(note);
    }
}

fn intro(contender: &Contender) -> String {
    format!("{} was left out", contender.name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anyhow::anyhow;

    use super::*;
    use crate::peers::Peer;
    use crate::scenario::SCENARIOS;

    const NORMAL: Setup = Setup { channels: 1, deflate: false, silent: false, snapshot: None };

    fn scenario(key: &str) -> &'static Scenario {
        let all = SCENARIOS.iter().chain(once::scenarios(false));
        all.into_iter().find(|scenario| scenario.key == key).unwrap()
    }

    fn measured(key: &str, contenders: &[Contender]) -> Vec<(String, Setup)> {
        let lineup = lineup(scenario(key), contenders);
        lineup.iter().map(|contender| (contender.label.clone(), contender.setup())).collect()
    }

    fn everybody() -> [Contender; 4] {
        [
            Contender::floor(),
            Contender::gateway(Path::new("/proc/self/exe")).unwrap(),
            Contender::peer("other=true").unwrap(),
            Contender::packaged(Peer::Nats, Path::new("/no/such/folder")),
        ]
    }

    #[test]
    fn a_pair_is_the_gateway_twice() {
        let all = everybody();
        let names = |key| measured(key, &all).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("slow"), ["without", "with"]);
        let deflate = Setup { deflate: true, ..NORMAL };
        let expected = [("off".to_owned(), NORMAL), ("on".to_owned(), deflate)];
        assert_eq!(measured("deflate", &all), expected);
    }

    #[test]
    fn a_peer_is_measured_where_it_can_be_and_one_from_a_package_in_five() {
        let all = everybody();
        let names = |key| measured(key, &all).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        for key in WITH_PACKAGED {
            assert_eq!(names(key), ["floor", "gateway", "other", "nats"], "({key})");
        }
        for key in ["c", "e19", "g1", "g16"] {
            assert_eq!(names(key), ["floor", "gateway", "other"], "({key})");
        }
        assert_eq!(names("d"), ["floor", "gateway"]);
    }

    #[test]
    fn a_peer_that_stays_out_of_scenarios_is_told_once_for_each_reason() {
        let mut left_out = LeftOut::default();
        let keys = ["a", "c", "d", "slow", "rounds", "h"].map(scenario);
        left_out.note_refusals(&keys, &everybody());
        assert_eq!(
            left_out.into_notes(),
            [
                "other was left out of (d): a peer has one channel",
                "other was left out of (slow), (rounds), (h): only the gateway is measured there",
                "nats was left out of (c), (d), (slow), (rounds), (h): servers from packages are \
                 measured in a, b1, b2, e and f",
            ]
        );
    }

    #[test]
    fn a_run_goes_on_without_a_packaged_peer_and_nobody_else() {
        let [floor, _, peer, packaged] = everybody();
        let mut left_out = LeftOut::default();
        let mut fails = |contender, error, redis| {
            left_out.unless::<()>(Err(error), contender, " of (a), round 2", || redis).is_err()
        };
        assert!(!fails(&packaged, anyhow!("it fell"), true));
        assert!(fails(&packaged, anyhow!("Redis fell"), false));
        assert!(fails(&packaged, Interrupted.into(), true));
        assert!(fails(&floor, anyhow!("it fell"), true));
        assert!(fails(&peer, anyhow!("it fell"), true));
        assert_eq!(left_out.into_notes(), ["nats was left out of (a), round 2: it fell"]);
    }
}
