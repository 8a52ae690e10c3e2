//! Which plots there are, and how each is made of the figures.

use super::chart::{Bar, Budget, Chart, Colour, Group, Scale};
use super::results::{Results, Role, Scenario, System};
use crate::compare::describe;
use crate::figure::Figure;
use crate::live;
use crate::once;
use crate::scenario::Limit;
use crate::table::number;

/// A plot that a benchmark may have figures for.
pub(super) struct Plot {
    /// Its file's name, without the ending.
    pub(super) name: &'static str,
    /// What it shows, in a sentence.
    pub(super) caption: &'static str,
    /// What the file lacks where it can't be drawn.
    pub(super) needs: &'static str,
    make: fn(&Results) -> Chart,
}

/// All of them, in the order of the page.
pub(super) const PLOTS: &[Plot] = &[
    Plot {
        name: "cost-ratio",
        caption: "CPU per delivery as a multiple of the floor's. The floor is the least that a \
                  server can do: one thread, epoll and one send() per client and batch.",
        needs: "no scenario has the floor's CPU per delivery and another server's",
        make: cost_ratio,
    },
    Plot {
        name: "cost",
        caption: "CPU per delivery, in µs.",
        needs: "no scenario has CPU per delivery",
        make: cost,
    },
    Plot {
        name: "memory",
        caption: "Resident memory that each idle connection adds to the process.",
        needs: "scenarios e and e19 have no memory per connection",
        make: memory,
    },
    Plot {
        name: "latency",
        caption: "Time from publish to receipt: full bar to the median, pale bar to the 99th \
                  percentile.",
        needs: "no scenario has p50 and p99",
        make: latency,
    },
    Plot {
        name: "throughput",
        caption: "Deliveries per second with 200 clients and 5,000 events published a second: \
                  1,000,000 would be all of them.",
        needs: "scenario b2 has no deliveries per second",
        make: throughput,
    },
    Plot {
        name: "handshake",
        caption: "CPU per handshake.",
        needs: "scenario f has no CPU per handshake",
        make: handshake,
    },
    Plot {
        name: "deflate",
        caption: "What permessage-deflate costs and what it saves: with it, as a multiple of \
                  without it.",
        needs: "scenario deflate has no figures with and without it",
        make: deflate,
    },
    Plot {
        name: "collect",
        caption: "Page views that the collector accepts per second: of those that are due at the \
                  pace of the budget, and at the highest rate that it keeps up with.",
        needs: "scenario collect has no page views per second",
        make: collect,
    },
    Plot {
        name: "collect-latency",
        caption: "Time from when a page view was due to its 204: full bar to the median, pale bar \
                  to the 99th percentile.",
        needs: "scenario collect has no p50 and p99",
        make: collect_latency,
    },
    Plot {
        name: "snapshot",
        caption: "The share of one CPU that the gateway uses for clients that only wait, without \
                  a snapshot and with its heartbeat.",
        needs: "scenario snapshot has no CPU with and without it",
        make: snapshot,
    },
];

/// In (b2) whoever batches more fills the core: less CPU is no merit. The others
/// compare the gateway with itself.
const WITHOUT_RATIO: &[&str] = &["b2", "deflate", "slow"];

/// Clients that only wait.
const IDLE: &[&str] = &["e", "e19"];

/// Above this ratio of the largest to the least a linear axis hides the least.
const WIDE: f64 = 30.0;

const LESS_IS_BETTER: &str = "Bar: median of the runs. Dot: one run. Less is better.";

impl Plot {
    pub(super) fn file_name(&self) -> String {
        format!("{}.svg", self.name)
    }

    /// None where the results lack the figures.
    pub(super) fn chart(&self, results: &Results) -> Option<Chart> {
        let chart = (self.make)(results);
        (!chart.groups.is_empty()).then_some(chart)
    }
}

fn cost_ratio(results: &Results) -> Chart {
    let shown = Shown { relative: true, ..Shown::plain(Figure::CpuPerDelivery, 2) };
    let mut groups = shown.groups(results, |key| !WITHOUT_RATIO.contains(&key));
    // The floor beside nobody says nothing.
    groups.retain(|group| group.bars.len() > 1);
    Chart {
        title: "Cost of a delivery, compared to the floor's",
        legend: LESS_IS_BETTER,
        axis: "server CPU per delivery ÷ the floor's median",
        scale: scale(&groups),
        groups,
    }
}

fn cost(results: &Results) -> Chart {
    let shown = Shown { unit: " µs", ..Shown::plain(Figure::CpuPerDelivery, 2) };
    // What is measured once and without a floor has tables of its own.
    let groups = shown.groups(results, |key| !once::is_key(key));
    Chart {
        title: "Cost of a delivery",
        legend: LESS_IS_BETTER,
        axis: "server CPU per delivery, µs",
        scale: scale(&groups),
        groups,
    }
}

fn memory(results: &Results) -> Chart {
    let shown = Shown { unit: " KB", ..Shown::plain(Figure::MemoryPerConnection, 2) };
    let groups = shown.groups(results, |key| IDLE.contains(&key));
    Chart {
        title: "Memory of an idle connection",
        legend: LESS_IS_BETTER,
        axis: "resident memory added by each connection, KB",
        scale: if results.peers().is_empty() { Scale::Linear } else { Scale::Logarithmic },
        groups,
    }
}

fn latency(results: &Results) -> Chart {
    let reach = Some(Figure::P99);
    let groups = Shown { reach, unit: " ms", ..Shown::plain(Figure::P50, 2) };
    let groups = groups.groups(results, |key| key != live::COLLECT.key);
    Chart {
        title: "Latency from publish to receipt",
        legend: "Full bar: p50. Pale bar: p99, each run's as a dot. Numbers: p50 / p99. Less is better.",
        axis: "latency, ms",
        scale: scale(&groups),
        groups,
    }
}

fn throughput(results: &Results) -> Chart {
    let shown = Shown { most_first: true, ..Shown::plain(Figure::Deliveries, 0) };
    let groups = shown.groups(results, |key| key == "b2");
    Chart {
        title: "Deliveries kept up with",
        legend: "Bar: median of the runs. Dot: one run. More is better.",
        axis: "deliveries per second",
        scale: Scale::Linear,
        groups,
    }
}

fn handshake(results: &Results) -> Chart {
    let shown = Shown { unit: " µs", ..Shown::plain(Figure::CpuPerHandshake, 1) };
    let groups = shown.groups(results, |key| key == "f");
    Chart {
        title: "Cost of a handshake",
        legend: LESS_IS_BETTER,
        axis: "server CPU per handshake, µs",
        scale: scale(&groups),
        groups,
    }
}

fn deflate(results: &Results) -> Chart {
    let relative = Shown { relative: true, ..Shown::plain(Figure::CpuPerDelivery, 2) };
    let cost = Shown { unit: " µs", ..relative };
    let bytes = Shown { figure: Figure::WireBytes, unit: " B", ..relative };
    let parts = [("CPU per delivery", cost), ("Bytes on the wire per delivery", bytes)];
    let groups = parts.into_iter().filter_map(|(title, shown)| {
        let group = shown.groups(results, |key| key == "deflate").pop()?;
        (group.bars.len() > 1).then(|| Group { title: title.to_owned(), ..group })
    });
    let groups = groups.collect();
    Chart {
        title: "permessage-deflate, off and on",
        legend: LESS_IS_BETTER,
        axis: "multiple of the median without it",
        scale: Scale::Linear,
        groups,
    }
}

fn collect(results: &Results) -> Chart {
    let shown = |figure| Shown { most_first: true, ..Shown::plain(figure, 0) };
    let parts = [
        ("Accepted at the pace of the budget", Figure::Accepted),
        ("Highest rate kept up with", Figure::Highest),
    ];
    let groups = parts.into_iter().filter_map(|(title, figure)| {
        let group = shown(figure).groups(results, |key| key == live::COLLECT.key).pop()?;
        Some(Group { title: title.to_owned(), ..group })
    });
    Chart {
        title: "Page views accepted on one core",
        legend: "Bar: median of the runs. Dot: one run. More is better.",
        axis: "page views per second",
        scale: Scale::Linear,
        groups: groups.collect(),
    }
}

fn collect_latency(results: &Results) -> Chart {
    let reach = Some(Figure::P99);
    let shown = Shown { reach, unit: " ms", ..Shown::plain(Figure::P50, 2) };
    let groups = shown.groups(results, |key| key == live::COLLECT.key);
    Chart {
        title: "How long a page view takes",
        legend: "Full bar: p50. Pale bar: p99, each run's as a dot. Numbers: p50 / p99. Less is better.",
        axis: "from due to accepted, ms",
        scale: scale(&groups),
        groups,
    }
}

fn snapshot(results: &Results) -> Chart {
    let shown = Shown { unit: " %", ..Shown::plain(Figure::CpuShare, 2) };
    Chart {
        title: "What a heartbeat costs",
        legend: LESS_IS_BETTER,
        axis: "share of one CPU, per cent",
        scale: Scale::Linear,
        groups: shown.groups(results, |key| key == live::SNAPSHOT.key),
    }
}

/// The floor, next to nothing in places, has no say in it.
fn scale(groups: &[Group]) -> Scale {
    let bars = groups.iter().flat_map(|group| &group.bars);
    let bars = bars.filter(|bar| bar.colour != Colour::Floor && bar.value > 0.0);
    let (least, most) = bars.fold((f64::MAX, 0.0_f64), |(least, most), bar| {
        (least.min(bar.value), most.max(bar.reach.unwrap_or(bar.value)))
    });
    if most / least > WIDE { Scale::Logarithmic } else { Scale::Linear }
}

/// What the bars of a plot stand for.
#[derive(Debug, Clone, Copy)]
struct Shown {
    figure: Figure,
    /// A larger figure that the bar goes on to; the dots are this one's then.
    reach: Option<Figure>,
    /// As multiples of the baseline's median.
    relative: bool,
    most_first: bool,
    digits: usize,
    /// Behind the budget's number and, where values are relative, behind the absolute
    /// ones.
    unit: &'static str,
}

impl Shown {
    fn plain(figure: Figure, digits: usize) -> Self {
        Self { figure, reach: None, relative: false, most_first: false, digits, unit: "" }
    }

    /// One group for each scenario that has the figure.
    fn groups(&self, results: &Results, chosen: impl Fn(&str) -> bool) -> Vec<Group> {
        let scenarios = results.scenarios.iter().filter(|scenario| chosen(&scenario.key));
        scenarios.filter_map(|scenario| self.group(results, scenario)).collect()
    }

    fn group(&self, results: &Results, scenario: &Scenario) -> Option<Group> {
        let unit = match self.relative {
            true => scenario.baseline(self.figure).filter(|floor| *floor > 0.0)?,
            false => 1.0,
        };
        let peers = results.peers();
        let bars = scenario.systems.iter().filter_map(|system| self.bar(system, unit, &peers));
        let mut bars: Vec<Bar> = bars.collect();
        bars.sort_by(|one, other| match self.most_first {
            true => other.value.total_cmp(&one.value),
            false => one.value.total_cmp(&other.value),
        });
        if bars.is_empty() {
            return None;
        }
        let title = format!("({}) {}", scenario.key, scenario.title);
        Some(Group { title, bars, budget: self.budget(scenario, unit) })
    }

    fn bar(&self, system: &System, unit: f64, peers: &[&str]) -> Option<Bar> {
        let value = system.median(self.figure)? / unit;
        let reach = match self.reach {
            Some(figure) => Some(system.median(figure)? / unit),
            None => None,
        };
        let figures = [Some(value), reach].into_iter().flatten();
        let label: Vec<String> = figures.map(|value| number(Some(value), self.digits)).collect();
        let mut label = label.join(" / ");
        if self.relative && !self.unit.is_empty() {
            let absolute = number(Some(value * unit), self.figure.digits());
            label = format!("{label} ({absolute}{})", self.unit);
        }
        let dots = system.each(self.reach.unwrap_or(self.figure));
        Some(Bar {
            name: system.name.clone(),
            colour: match system.role() {
                Role::Baseline => Colour::Floor,
                Role::Gateway => Colour::Gateway,
                Role::Peer => {
                    Colour::Peer(peers.iter().position(|peer| *peer == system.name).unwrap_or(0))
                }
            },
            label,
            value,
            reach,
            dots: dots.into_iter().map(|dot| dot / unit).collect(),
        })
    }

    fn budget(&self, scenario: &Scenario, unit: f64) -> Option<Budget> {
        let figure = self.reach.unwrap_or(self.figure);
        let limit = scenario.bar(figure)?.limit;
        let of = scenario.baseline(figure);
        let words = |unit: &str| describe(limit, scenario.baseline_name()) + unit;
        let (at, words) = match limit {
            Limit::Times(times) => (of? * times, words("")),
            Limit::Above(more) => (of? + more, words(self.unit)),
            Limit::TimesOrAbove(times, more) => ((of? * times).max(of? + more), words(self.unit)),
            Limit::AtMost(most) => (most, words(self.unit)),
            Limit::AtLeast(least) => (least, format!("≥ {}", number(Some(least), self.digits))),
            Limit::Shown => return None,
        };
        let which = if self.reach.is_some() { "p99 " } else { "" };
        Some(Budget { at: at / unit, label: format!("budget {which}{words}") })
    }
}
