//! `[[snapshots]]`: the settings of snapshots, and what is wrong with them although each
//! value by itself is right.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

use redcast_node::{MergePointer, SnapshotName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Finding, Parsed, Settings, quoted};

/// What `every` may be. More often is what events are for, and more seldom what a poller
/// is for.
const EVERY: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);

/// What Redcast calls its own messages: a client could not tell them from a snapshot.
const OWN_TYPES: [&str; 10] =
    ["welcome", "event", "ack", "pong", "error", "gap", "reset", "cursor", "close", "binary"];

#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotSettings {
    pub(super) name: Parsed<SnapshotName>,
    pub(super) key: String,
    #[serde(default = "five_seconds")]
    pub(super) every: Parsed<Duration>,
    #[serde(default = "initial_stats")]
    pub(super) on_connect: String,
    #[serde(default = "heartbeat")]
    pub(super) on_tick: String,
    // The keys are judged by their own schema, like any other text of a kind.
    #[schemars(extend("propertyNames" = { "type": "string", "format": "redcast-frame-pointer" }))]
    pub(super) merge: Option<BTreeMap<String, MergeSetting>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum MergeSetting {
    Connections,
    InstanceConnections,
    Now,
    NowMs,
}

fn five_seconds() -> Parsed<Duration> {
    Parsed(Duration::from_secs(5))
}

fn initial_stats() -> String {
    "initial_stats".to_owned()
}

fn heartbeat() -> String {
    "heartbeat".to_owned()
}

impl Settings {
    pub(super) fn check_snapshots(&self, findings: &mut Vec<Finding>) {
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (index, snapshot) in self.snapshots.iter().enumerate() {
            let at = |key: &str| format!("snapshots[{index}].{key}");
            if let Some(first) = seen.insert(snapshot.name.as_str(), index) {
                let message = format!(
                    "{} is the name of snapshots[{first}] already; each snapshot needs its own",
                    quoted(snapshot.name.as_str())
                );
                findings.push(Finding::at(at("name"), message));
            }
            if snapshot.key.is_empty() {
                let message = "must not be empty: name the key that the producer writes";
                findings.push(Finding::at(at("key"), message));
            }
            if !EVERY.contains(&*snapshot.every) {
                findings.push(Finding::at(at("every"), "must be from 100ms to 1h"));
            }
            for (key, name) in
                [("on_connect", &snapshot.on_connect), ("on_tick", &snapshot.on_tick)]
            {
                findings.extend(wrong_type(name).map(|why| Finding::at(at(key), why)));
            }
            findings.extend(snapshot.collision().map(|why| Finding::at(at("merge"), why)));
        }
        self.check_snapshot_names(findings);
    }

    fn check_snapshot_names(&self, findings: &mut Vec<Finding>) {
        let known: Vec<&str> = self.snapshots.iter().map(|each| each.name.as_str()).collect();
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let Some(name) = &endpoint.snapshot else { continue };
            if known.contains(&name.as_str()) {
                continue;
            }
            let advice = match known[..] {
                [] => format!("write a [[snapshots]] with name = \"{}\"", name.as_str()),
                _ => format!("known here: {}", known.join(", ")),
            };
            let message = format!("there is no snapshot {}; {advice}", quoted(name.as_str()));
            findings.push(Finding::at(format!("endpoints[{index}].snapshot"), message));
        }
    }

    /// Snapshots that are read for nobody.
    pub(super) fn unused_snapshots(&self) -> impl Iterator<Item = Finding> {
        let used: Vec<&str> = self
            .endpoints
            .iter()
            .filter_map(|each| Some(each.snapshot.as_ref()?.as_str()))
            .collect();
        let unused = self.snapshots.iter().enumerate();
        let unused = unused.filter(move |(_, each)| !used.contains(&each.name.as_str()));
        unused.map(|(index, each)| {
            let name = each.name.as_str();
            let message =
                format!("no endpoint uses it; write snapshot = \"{name}\" in an [[endpoints]]");
            Finding::at(format!("snapshots[{index}].name"), message)
        })
    }
}

impl SnapshotSettings {
    /// Two pointers of which one would overwrite the other.
    fn collision(&self) -> Option<String> {
        let pointers = self.merge.iter().flatten();
        let pointers: Vec<MergePointer> =
            pointers.filter_map(|(text, _)| MergePointer::parse(text).ok()).collect();
        pointers.iter().enumerate().find_map(|(index, one)| {
            let other = pointers[..index].iter().find(|other| one.collides_with(other))?;
            let (one, other) = (quoted(one.as_str()), quoted(other.as_str()));
            Some(format!("{one} is inside {other}, which is a number; take one of them out"))
        })
    }
}

fn wrong_type(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("must not be empty: clients tell messages apart by it".to_owned());
    }
    let own = OWN_TYPES.contains(&name);
    own.then(|| format!("{} is a message of Redcast's own; choose another name", quoted(name)))
}
