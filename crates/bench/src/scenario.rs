//! What is measured, and the bars of the performance budget.

use crate::content::Content;
use crate::figure::Figure;
use crate::publisher::Pace;

/// One row of the benchmark.
#[derive(Debug)]
pub struct Scenario {
    /// Its short name, for `--only`.
    pub key: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// Connections.
    pub clients: usize,
    /// What is published to them; none if they are only connected.
    pub traffic: Option<Traffic>,
    /// What the budget asks of the gateway.
    pub bars: &'static [Bar],
}

/// What is published.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// How fast, over all channels.
    pub pace: Pace,
    /// How many channels the events take turns in; each client is in one of them.
    pub channels: usize,
    /// What the payloads hold.
    pub content: Content,
}

/// A bar: which figure it is about, and where it lies.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    /// The figure.
    pub figure: Figure,
    /// Where the bar lies.
    pub limit: Limit,
}

/// Where a bar lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// At most so many times the floor's.
    TimesFloor(f64),
    /// At most the floor's and so much more.
    AboveFloor(f64),
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
    /// No bar: the figure and its ratio are only shown.
    Shown,
}

const fn bar(figure: Figure, limit: Limit) -> Bar {
    Bar { figure, limit }
}

const NOTHING_LOST: Bar = bar(Figure::Lost, Limit::AtMost(0.0));
const NOTHING_TWICE: Bar = bar(Figure::Duplicated, Limit::AtMost(0.0));

/// All scenarios, in the order they run.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        key: "a",
        title: "paced: 1,000 clients x 50 events/s",
        clients: 1_000,
        traffic: Some(Traffic {
            pace: Pace { rate: 50, burst: 1 },
            channels: 1,
            content: Content::Filler(200),
        }),
        bars: &[
            bar(Figure::CpuPerDelivery, Limit::TimesFloor(1.2)),
            bar(Figure::P50, Limit::AboveFloor(0.5)),
            bar(Figure::P99, Limit::AboveFloor(5.0)),
            NOTHING_LOST,
        ],
    },
    Scenario {
        key: "b1",
        title: "bursts: 200 clients x 5,000 events/s, 50 each 10 ms",
        clients: 200,
        traffic: Some(Traffic {
            pace: Pace { rate: 5_000, burst: 50 },
            channels: 1,
            content: Content::Filler(200),
        }),
        bars: &[bar(Figure::CpuPerDelivery, Limit::TimesFloor(1.5)), NOTHING_LOST, NOTHING_TWICE],
    },
    Scenario {
        key: "b2",
        title: "even: 200 clients x 5,000 events/s",
        clients: 200,
        traffic: Some(Traffic {
            pace: Pace { rate: 5_000, burst: 1 },
            channels: 1,
            content: Content::Filler(200),
        }),
        bars: &[
            bar(Figure::Published, Limit::AtLeast(4_900.0)),
            bar(Figure::Deliveries, Limit::AtLeast(980_000.0)),
            bar(Figure::P99, Limit::AtMost(20.0)),
            NOTHING_LOST,
            NOTHING_TWICE,
        ],
    },
    Scenario {
        key: "e",
        title: "idle: 10,000 clients",
        clients: 10_000,
        traffic: None,
        bars: &[
            bar(Figure::MemoryPerConnection, Limit::AtMost(1.5)),
            bar(Figure::FreshMemory, Limit::AtMost(20.0)),
        ],
    },
    Scenario {
        key: "f",
        title: "connecting: 5,000 clients, 100 at a time",
        clients: 5_000,
        traffic: None,
        bars: &[
            bar(Figure::CpuPerHandshake, Limit::TimesFloor(3.0)),
            bar(Figure::Connects, Limit::Shown),
        ],
    },
];
