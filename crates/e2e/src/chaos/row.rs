//! The list of rows, in the order of the table.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::findings::Findings;
use super::scene::Scale;
use super::{
    cluster, crowds, failover, gateways, kicked, kill, link, poison, random, simulation, taken,
};

/// What a row does; it writes down what it finds.
pub type Run = for<'a> fn(&'a Scale, &'a mut Findings) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Row {
    /// The name to choose it by.
    pub name: &'static str,
    /// What is broken.
    pub fault: &'static str,
    /// What must hold all the same, in words.
    pub bar: &'static str,
    /// How long it may take at full size, at most.
    pub limit: Duration,
    /// How to do it.
    pub run: Run,
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// All rows.
pub const ROWS: &[Row] = &[
    Row {
        name: "kill-3s",
        fault: "Redis SIGKILL, back after 3 s",
        bar: kill::BAR,
        limit: minutes(3),
        run: |scale, findings| Box::pin(kill::killed(scale, findings, 3)),
    },
    Row {
        name: "kill-30s",
        fault: "Redis SIGKILL, back after 30 s",
        bar: kill::BAR,
        limit: minutes(5),
        run: |scale, findings| Box::pin(kill::killed(scale, findings, 30)),
    },
    Row {
        name: "kill-120s",
        fault: "Redis SIGKILL, back after 120 s",
        bar: kill::BAR,
        limit: minutes(8),
        run: |scale, findings| Box::pin(kill::killed(scale, findings, 120)),
    },
    Row {
        name: "freeze",
        fault: "Redis SIGSTOP for 10 s",
        bar: kill::BAR_FREEZE,
        limit: minutes(4),
        run: |scale, findings| Box::pin(kill::frozen(scale, findings)),
    },
    Row {
        name: "black-hole",
        fault: "the link black-holed for 60 s, both ways (network namespace)",
        bar: link::BAR,
        limit: minutes(4),
        run: |scale, findings| Box::pin(link::black_hole(scale, findings)),
    },
    Row {
        name: "one-way",
        fault: "the link black-holed for 20 s, one way each",
        bar: link::BAR_ONE_WAY,
        limit: minutes(4),
        run: |scale, findings| Box::pin(link::one_way(scale, findings)),
    },
    Row {
        name: "mid-frame",
        fault: "connections to Redis cut in the middle of a frame, ten times",
        bar: link::BAR_CUT,
        limit: minutes(3),
        run: |scale, findings| Box::pin(link::mid_frame(scale, findings)),
    },
    Row {
        name: "sentinel",
        fault: "Sentinel failover, 20 in a row, first dials refused",
        bar: failover::BAR,
        limit: minutes(15),
        run: |scale, findings| Box::pin(failover::failovers(scale, findings)),
    },
    Row {
        name: "split-brain",
        fault: "split brain: the old primary keeps taking writes",
        bar: failover::BAR_SPLIT,
        limit: minutes(4),
        run: |scale, findings| Box::pin(failover::split_brain(scale, findings)),
    },
    Row {
        name: "cluster-move",
        fault: "Cluster: slots migrate under load",
        bar: cluster::BAR_MOVE,
        limit: minutes(5),
        run: |scale, findings| Box::pin(cluster::moved(scale, findings)),
    },
    Row {
        name: "cluster-kill",
        fault: "Cluster: primary SIGKILL",
        bar: cluster::BAR_KILL,
        limit: minutes(5),
        run: |scale, findings| Box::pin(cluster::killed(scale, findings)),
    },
    Row {
        name: "overflow",
        fault: "output-buffer kill (`pubsub 1mb 512kb 1`, a burst of 50 MB)",
        bar: kicked::BAR_OVERFLOW,
        limit: minutes(3),
        run: |scale, findings| Box::pin(kicked::overflow(scale, findings)),
    },
    Row {
        name: "client-kill",
        fault: "`CLIENT KILL TYPE pubsub` each second for 60 s",
        bar: kicked::BAR_KILLS,
        limit: minutes(5),
        run: |scale, findings| Box::pin(kicked::kills(scale, findings)),
    },
    Row {
        name: "acl",
        fault: "the right to channels and keys taken and given back",
        bar: kicked::BAR_RIGHT,
        limit: minutes(3),
        run: |scale, findings| Box::pin(kicked::right(scale, findings)),
    },
    Row {
        name: "taken",
        fault: "stream trimmed past the cursor, DEL, FLUSHALL",
        bar: taken::BAR,
        limit: minutes(3),
        run: |scale, findings| Box::pin(taken::taken(scale, findings)),
    },
    Row {
        name: "gateway-kill",
        fault: "gateway SIGKILL, 1,000 clients",
        bar: gateways::BAR_KILL,
        limit: minutes(3),
        run: |scale, findings| Box::pin(gateways::killed(scale, findings)),
    },
    Row {
        name: "drain",
        fault: "gateway SIGTERM, 1,000 clients",
        bar: gateways::BAR_DRAIN,
        limit: minutes(4),
        run: |scale, findings| Box::pin(gateways::drained(scale, findings)),
    },
    Row {
        name: "rolling",
        fault: "rolling restart of three behind HAProxy, 1,000 clients",
        bar: gateways::BAR_ROLLING,
        limit: minutes(6),
        run: |scale, findings| Box::pin(gateways::rolling(scale, findings)),
    },
    Row {
        name: "silent",
        fault: "10 % of 1,000 clients never read",
        bar: crowds::BAR_SILENT,
        limit: minutes(5),
        run: |scale, findings| Box::pin(crowds::silent(scale, findings)),
    },
    Row {
        name: "storm",
        fault: "10,000 clients come back within a second, all with cursors",
        bar: crowds::BAR_STORM,
        limit: minutes(6),
        run: |scale, findings| Box::pin(crowds::storm(scale, findings)),
    },
    Row {
        name: "poison",
        fault: "poison entries (20 MB, missing field, NUL, non-UTF-8)",
        bar: poison::BAR,
        limit: minutes(3),
        run: |scale, findings| Box::pin(poison::poison(scale, findings)),
    },
    Row {
        name: "simulation",
        fault: "seeded simulation of sequencer, resume and failover",
        bar: simulation::BAR,
        limit: minutes(60),
        run: |scale, findings| Box::pin(simulation::simulation(scale, findings)),
    },
    Row {
        name: "random",
        fault: "these at random for 30 minutes (MINUTES), seeded",
        bar: random::BAR,
        limit: minutes(240),
        run: |scale, findings| Box::pin(random::random(scale, findings)),
    },
];

/// The row with this name.
pub fn row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

/// Runs a row as a story: smaller, with longer deadlines, and a miss is a panic.
pub async fn story(name: &str) {
    let row = row(name).expect("a row of this name");
    let scale = Scale::story();
    let mut findings = Findings::new(scale.stretch);
    let running = tokio::time::timeout(row.limit, (row.run)(&scale, &mut findings));
    running.await.unwrap_or_else(|_| panic!("{name}: not within {:?}", row.limit));
    let missed: Vec<_> = findings.all().into_iter().filter(|finding| !finding.is_met).collect();
    assert!(missed.is_empty(), "{name}: {missed:#?}");
}
