//! What is measured once per run and of the gateway alone: memory over rounds of
//! clients, and the crowd. Both are counts and memory, which other work on the machine
//! does not blur, so that interleaved rounds would add time and nothing else.

use anyhow::{Context, Result};

use crate::contender::Contender;
use crate::crowd::{self, outcome::Outcome};
use crate::figure::{Figure, Measurement};
use crate::limits::Demand;
use crate::measure::Setting;
use crate::progress::Progress;
use crate::report::Series;
use crate::rounds::{self, Rounds};
use crate::scenario::{Bar, Limit, Scenario};

const ROUNDS_KEY: &str = "rounds";
const CROWD_KEY: &str = "h";

const COUNTED: &[Bar] = &[
    Bar { figure: Figure::Unopened, limit: Limit::AtMost(0.0) },
    Bar { figure: Figure::Unserved, limit: Limit::AtMost(0.0) },
    Bar { figure: Figure::Lost, limit: Limit::AtMost(0.0) },
    Bar { figure: Figure::Duplicated, limit: Limit::AtMost(0.0) },
    Bar { figure: Figure::GaugeError, limit: Limit::AtMost(0.0) },
];

static IN_AND_OUT: Scenario = Scenario {
    key: ROUNDS_KEY,
    title: "memory: five rounds of 10,000 clients in and out",
    clients: 10_000,
    traffic: None,
    pair: None,
    bars: &[Bar { figure: Figure::Growth, limit: Limit::AtMost(1.10) }],
};

static QUICK_IN_AND_OUT: Scenario = Scenario {
    title: "memory: five rounds of 2,000 clients in and out",
    clients: 2_000,
    ..IN_AND_OUT
};

static CROWD: Scenario = Scenario {
    key: CROWD_KEY,
    title: "crowd: 100,000 clients over six instances",
    clients: 100_000,
    traffic: None,
    pair: None,
    bars: COUNTED,
};

static QUICK_CROWD: Scenario =
    Scenario { title: "crowd: 6,000 clients over six instances", clients: 6_000, ..CROWD };

/// The scenarios that run once, in their order.
pub fn scenarios(quick: bool) -> [&'static Scenario; 2] {
    if quick { [&QUICK_IN_AND_OUT, &QUICK_CROWD] } else { [&IN_AND_OUT, &CROWD] }
}

/// Whether `scenario` is one of [`scenarios`].
pub fn runs_once(scenario: &Scenario) -> bool {
    is_key(scenario.key)
}

/// Whether `key` is that of one of [`scenarios`].
pub fn is_key(key: &str) -> bool {
    matches!(key, ROUNDS_KEY | CROWD_KEY)
}

/// What `scenario`, one of any kind, asks of the machine.
pub fn demand(scenario: &Scenario) -> Demand {
    let connections = scenario.clients;
    match scenario.key {
        CROWD_KEY => crowd::demand(connections),
        _ => Demand { connections, per_process: connections },
    }
}

/// What came of one of these scenarios.
#[derive(Debug)]
pub struct Once {
    /// The gateway's one run, for the bars and for JSON.
    pub series: Series,
    /// What it showed in detail, for people.
    pub text: String,
}

/// Measures `scenario`, one of [`scenarios`].
pub fn measure(
    scenario: &'static Scenario,
    gateway: &Contender,
    setting: &Setting,
    progress: &Progress,
) -> Result<Once> {
    let (key, title, clients) = (scenario.key, scenario.title, scenario.clients);
    let head = format!("\n({key}) {title}; once per run, not in rounds\n");
    let outcome = match key {
        ROUNDS_KEY => rounds::measure(gateway, setting, clients, progress)
            .map(|rounds| (of_rounds(&rounds), format!("{head}{}\n", rounds.line()))),
        _ => crowd::run(gateway, setting, clients, progress)
            .map(|outcome| (of_crowd(&outcome), format!("{head}{}", outcome.table()))),
    };
    let (measurement, text) = outcome.with_context(|| format!("({key})"))?;
    // There is no floor for these.
    let contenders =
        vec![("floor".to_owned(), Vec::new()), (gateway.name.clone(), vec![measurement])];
    Ok(Once { series: Series { scenario, contenders }, text })
}

// Not a number is null in JSON: it was not measured.
fn of_rounds(rounds: &Rounds) -> Measurement {
    let mb = |kb: u64| kb as f64 / 1024.0;
    Measurement {
        fresh_memory_mb: mb(rounds.fresh_kb),
        memory_after_rounds_mb: Some(rounds.after_kb.iter().map(|&kb| mb(kb)).collect()),
        memory_kb_per_connection: f64::NAN,
        connects_per_second: f64::NAN,
        cpu_us_per_handshake: f64::NAN,
        ..Measurement::default()
    }
}

fn of_crowd(outcome: &Outcome) -> Measurement {
    let all = outcome.all();
    // What a client never got has cost nothing.
    let deliveries = (crowd::EVENTS * all.clients as u64).saturating_sub(all.result.lost);
    let cost = || all.publish_cpu_seconds * 1e6 / deliveries as f64;
    Measurement {
        cpu_us_per_delivery: (deliveries > 0).then(cost),
        lost: Some(all.result.lost),
        duplicated: Some(all.result.duplicated),
        reordered: Some(all.result.reordered),
        max_ms: Some(all.result.last_ms),
        fresh_memory_mb: all.fresh_kb as f64 / 1024.0 / outcome.instances.len() as f64,
        memory_kb_per_connection: all.kb_per_connection(),
        connects_per_second: all.open as f64 / all.connect_seconds,
        cpu_us_per_handshake: all.connect_cpu_seconds * 1e6 / all.clients as f64,
        closed: all.open.saturating_sub(all.result.still_open),
        crowd: Some(outcome.clone()),
        ..Measurement::default()
    }
}
