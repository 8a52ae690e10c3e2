//! The benchmark's JSON, read back. What is absent stays absent; only a file that is
//! something else altogether is refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::figure::{Figure, Measurement};
use crate::live;
use crate::notes;
use crate::scenario::{Bar, SCENARIOS};

/// Larger than whatever one machine can yield. It keeps numbers that JSON allows and
/// nobody measured from an axis and from a label.
const LARGEST: f64 = 1e12;

/// What others are compared to: the floor or, in a scenario that compares the gateway
/// with itself, the gateway as it is by default.
const BASELINES: [&str; 3] = ["floor", "off", "without"];

/// What the budget is about: the gateway, in such a scenario set up otherwise, or the
/// collector.
const GATEWAYS: [&str; 4] = ["gateway", "on", "with", "collector"];

/// Who a system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Baseline,
    Gateway,
    Peer,
}

/// Why a file can't be drawn.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    #[error("it is not JSON ({0})")]
    NotJson(#[source] serde_json::Error),
    #[error("{0}")]
    OtherShape(#[source] serde_json::Error),
}

/// Everything that a run of the benchmark wrote.
#[derive(Debug, Deserialize)]
pub(super) struct Results {
    #[serde(default)]
    pub(super) conditions: Conditions,
    #[serde(default)]
    pub(super) comparisons: Vec<Comparison>,
    pub(super) scenarios: Vec<Scenario>,
}

/// How the benchmark was run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Conditions {
    pub(super) machine: String,
    pub(super) placement: String,
    /// The command that measured; none in a file from before there was more than one.
    pub(super) command: Option<String>,
    /// The options of the run; none in a file from before they were told.
    pub(super) options: Option<String>,
    pub(super) rounds: u32,
    pub(super) window_seconds: f64,
    /// Who could not take part in what, and why.
    pub(super) left_out: Vec<String>,
    /// Why the run ended before all was measured.
    pub(super) ended_early: Option<String>,
}

/// One server's figure against its bar.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Comparison {
    pub(super) scenario: String,
    pub(super) contender: String,
    pub(super) figure: String,
    pub(super) value: Option<f64>,
    /// The value it is compared to.
    #[serde(alias = "baseline_value")]
    pub(super) floor: Option<f64>,
    pub(super) ratio: Option<f64>,
    pub(super) ratio_of_least: Option<f64>,
    pub(super) bar: String,
    pub(super) reached: String,
}

/// One scenario, measured.
#[derive(Debug, Deserialize)]
pub(super) struct Scenario {
    pub(super) key: String,
    #[serde(default)]
    pub(super) title: String,
    #[serde(rename = "runs", deserialize_with = "systems")]
    pub(super) systems: Vec<System>,
}

/// One server's runs of a scenario.
#[derive(Debug)]
pub(super) struct System {
    pub(super) name: String,
    /// Those that count, and those that don't.
    all: Vec<Measurement>,
}

impl Results {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let json: Value = serde_json::from_str(text).map_err(Refusal::NotJson)?;
        serde_json::from_value(json).map_err(Refusal::OtherShape)
    }

    /// All other servers by name, so that each has the same colour in every plot.
    pub(super) fn peers(&self) -> Vec<&str> {
        let systems = self.scenarios.iter().flat_map(|scenario| &scenario.systems);
        let mut names: Vec<&str> = systems.map(|system| system.name.as_str()).collect();
        names.retain(|name| role(name) == Role::Peer);
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Conditions {
    /// One line that stands under each plot.
    pub(super) fn summary(&self) -> String {
        let Self { machine, rounds, window_seconds, .. } = self;
        let rounds = if *rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") };
        format!("{machine}; {rounds}, windows of {window_seconds} s")
    }
}

impl Scenario {
    /// The bar of the budget for `figure`.
    pub(super) fn bar(&self, figure: Figure) -> Option<Bar> {
        let known = SCENARIOS.iter().find(|known| known.key == self.key);
        known
            .or_else(|| live::find(&self.key))?
            .bars
            .iter()
            .find(|bar| bar.figure == figure)
            .copied()
    }

    /// What the figures don't say of themselves.
    pub(super) fn notes(&self) -> Vec<String> {
        let systems = self.systems.iter().map(|system| (system.name.as_str(), &system.all[..]));
        notes::notes(&self.key, &systems.collect::<Vec<_>>())
    }

    /// What `figure` is compared to.
    pub(super) fn baseline(&self, figure: Figure) -> Option<f64> {
        self.baseline_system()?.median(figure)
    }

    pub(super) fn baseline_name(&self) -> &str {
        self.baseline_system().map_or("", |system| &system.name)
    }

    fn baseline_system(&self) -> Option<&System> {
        self.systems.iter().find(|system| system.role() == Role::Baseline)
    }
}

impl System {
    pub(super) fn role(&self) -> Role {
        role(&self.name)
    }

    pub(super) fn median(&self, figure: Figure) -> Option<f64> {
        let runs: Vec<&Measurement> = self.all.iter().collect();
        figure.over(&runs).filter(|value| plausible(*value))
    }

    /// The figure of each run, in the order of the rounds.
    pub(super) fn each(&self, figure: Figure) -> Vec<f64> {
        let valid = self.all.iter().filter(|run| run.short_sends == 0);
        let values = valid.filter_map(|run| figure.of(run));
        values.filter(|value| plausible(*value)).collect()
    }
}

fn role(name: &str) -> Role {
    match name {
        name if BASELINES.contains(&name) => Role::Baseline,
        name if GATEWAYS.contains(&name) => Role::Gateway,
        _ => Role::Peer,
    }
}

fn plausible(value: f64) -> bool {
    value.is_finite() && value.abs() <= LARGEST
}

/// By name, whatever the order in the file.
fn systems<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<System>, D::Error> {
    let named = BTreeMap::<String, Vec<Map<String, Value>>>::deserialize(from)?;
    let system = |(name, runs): (String, Vec<Map<String, Value>>)| {
        let all = runs
            .into_iter()
            .map(measurement)
            .collect::<Result<_, _>>()
            .map_err(serde::de::Error::custom)?;
        Ok(System { name, all })
    };
    // Who was not measured there at all, such as the floor of a crowd, has no row.
    named.into_iter().filter(|(_, runs)| !runs.is_empty()).map(system).collect()
}

/// JSON has no word for "not a number" but null, which a plain number does not take.
fn measurement(mut run: Map<String, Value>) -> serde_json::Result<Measurement> {
    run.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(run))
}
