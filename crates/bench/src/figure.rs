//! What one run yields, and how several runs become one number.

use serde::{Deserialize, Serialize};

use crate::crowd::outcome::{Instance, Outcome};

/// Everything one run measured. Absent where the scenario has no such thing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default = "Measurement::unknown")]
pub struct Measurement {
    /// Server CPU per event delivered to one client, µs.
    pub cpu_us_per_delivery: Option<f64>,
    /// Events delivered per second, over all clients.
    pub deliveries_per_second: Option<f64>,
    /// Events published per second.
    pub published_per_second: Option<f64>,
    /// Events that never arrived, over all clients.
    pub lost: Option<u64>,
    /// Events that arrived again.
    pub duplicated: Option<u64>,
    /// Events that arrived after a later one.
    pub reordered: Option<u64>,
    /// Half of the events took at most this from publish to receipt, ms.
    pub p50_ms: Option<f64>,
    /// 99 of 100 events took at most this, ms.
    pub p99_ms: Option<f64>,
    /// The longest any event took, ms.
    pub max_ms: Option<f64>,
    /// The share of one CPU that the server used in the window, per cent.
    pub cpu_percent: Option<f64>,
    /// The share of one CPU that the load generator and Redis used, per cent.
    pub load_cpu_percent: Option<f64>,
    /// Half of the publisher's writes came at most this long after their time, ms.
    pub publish_late_p50_ms: Option<f64>,
    /// The latest of the publisher's writes, ms.
    pub publish_late_max_ms: Option<f64>,
    /// Bytes over the wire per event delivered to one client, frame header included.
    pub wire_bytes_per_delivery: Option<f64>,
    /// What waited at the end for the client that never reads, KB.
    pub silent_backlog_kb: Option<f64>,
    /// Whether that client was closed with 4409.
    pub silent_closed: Option<bool>,
    /// Resident memory of the server when ready, before the first client, MB.
    pub fresh_memory_mb: f64,
    /// Resident memory that each connection added until the end of the run, KB.
    pub memory_kb_per_connection: f64,
    /// Handshakes per second.
    pub connects_per_second: f64,
    /// Server CPU per handshake, µs.
    pub cpu_us_per_handshake: f64,
    /// Clients that the server closed during the run.
    pub closed: usize,
    /// Data frames that were not the benchmark's.
    pub other_frames: u64,
    /// Short sends that the server reported; a run with any is invalid.
    pub short_sends: u64,
    /// Resident memory after each round of clients that came and went, MB.
    pub memory_after_rounds_mb: Option<Vec<f64>>,
    /// What came of a crowd, by instance.
    pub crowd: Option<Outcome>,
    /// Page views due in the window that the collector accepted, per second of it.
    pub accepted_per_second: Option<f64>,
    /// The highest rate of page views that the collector kept up with.
    pub highest_per_second: Option<f64>,
    /// Collector CPU per page view accepted, µs.
    pub cpu_us_per_view: Option<f64>,
    /// Page views due in the window that were not accepted.
    pub refused: Option<u64>,
    /// By how many page views the total in Redis was wrong.
    pub miscounted: Option<u64>,
    /// The share of one CPU that Redis alone used in the window, per cent.
    pub redis_cpu_percent: Option<f64>,
    /// How much more of a CPU than the baseline's run of the same round, per cent.
    pub cpu_percent_more: Option<f64>,
    /// Heartbeats that came in the window.
    pub beats: Option<u64>,
}

impl Measurement {
    /// What a file says that has no figure at all: an absent number is not a zero.
    pub(crate) fn unknown() -> Self {
        Self {
            fresh_memory_mb: f64::NAN,
            memory_kb_per_connection: f64::NAN,
            connects_per_second: f64::NAN,
            cpu_us_per_handshake: f64::NAN,
            ..Self::default()
        }
    }
}

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Server CPU per delivery.
    CpuPerDelivery,
    /// Deliveries per second.
    Deliveries,
    /// Published per second.
    Published,
    /// Lost events.
    Lost,
    /// Duplicated events.
    Duplicated,
    /// Reordered events.
    Reordered,
    /// Median latency.
    P50,
    /// 99th percentile of latency.
    P99,
    /// Longest latency.
    Max,
    /// Share of its CPU that the server used.
    CpuShare,
    /// Share of their CPU that the load generator and Redis used.
    LoadShare,
    /// Bytes over the wire per delivery.
    WireBytes,
    /// Memory per connection.
    MemoryPerConnection,
    /// Memory before the first client.
    FreshMemory,
    /// Server CPU per handshake.
    CpuPerHandshake,
    /// Handshakes per second.
    Connects,
    /// Memory after the last round of clients ÷ after the first.
    Growth,
    /// Clients of a crowd that were not open when all were to be.
    Unopened,
    /// Clients of a crowd that did not get each event once and in order.
    Unserved,
    /// By how much the gauges were wrong, over all instances.
    GaugeError,
    /// Page views accepted per second.
    Accepted,
    /// The highest rate of page views kept up with.
    Highest,
    /// Collector CPU per page view.
    CpuPerView,
    /// Page views that were not accepted.
    Refused,
    /// By how many page views the total is wrong.
    Miscounted,
    /// Share of a CPU used beyond the baseline's of the same round.
    MoreCpu,
    /// Share of its CPU that Redis used.
    RedisShare,
}

impl Figure {
    /// All columns, in the order of the table. What only one scenario has stands in its
    /// own lines of the report.
    pub const ALL: [Self; 21] = [
        Self::Accepted,
        Self::Highest,
        Self::CpuPerView,
        Self::CpuPerDelivery,
        Self::WireBytes,
        Self::Deliveries,
        Self::Published,
        Self::Lost,
        Self::Duplicated,
        Self::Reordered,
        Self::Refused,
        Self::Miscounted,
        Self::P50,
        Self::P99,
        Self::Max,
        Self::CpuShare,
        Self::MoreCpu,
        Self::MemoryPerConnection,
        Self::FreshMemory,
        Self::CpuPerHandshake,
        Self::Connects,
    ];

    /// What only one scenario has, or only a note is about.
    const OTHERS: [Self; 6] = [
        Self::LoadShare,
        Self::RedisShare,
        Self::Growth,
        Self::Unopened,
        Self::Unserved,
        Self::GaugeError,
    ];

    /// The figure with this heading.
    pub fn headed(heading: &str) -> Option<Self> {
        let mut figures = Self::ALL.into_iter().chain(Self::OTHERS);
        figures.find(|figure| figure.heading() == heading)
    }

    /// Its heading, with the unit.
    pub fn heading(self) -> &'static str {
        match self {
            Self::CpuPerDelivery => "µs/delivery",
            Self::Deliveries => "deliveries/s",
            Self::Published => "published/s",
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Reordered => "reordered",
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::Max => "max ms",
            Self::CpuShare => "CPU %",
            Self::LoadShare => "load CPU %",
            Self::WireBytes => "bytes",
            Self::MemoryPerConnection => "KB/conn",
            Self::FreshMemory => "fresh MB",
            Self::CpuPerHandshake => "µs/handshake",
            Self::Connects => "connects/s",
            Self::Growth => "memory last ÷ first",
            Self::Unopened => "not open",
            Self::Unserved => "not served",
            Self::GaugeError => "gauges off by",
            Self::Accepted => "accepted/s",
            Self::Highest => "highest/s",
            Self::CpuPerView => "µs/view",
            Self::Refused => "not accepted",
            Self::Miscounted => "counted off by",
            Self::MoreCpu => "CPU % more",
            Self::RedisShare => "Redis CPU %",
        }
    }

    /// Digits after the point.
    pub fn digits(self) -> usize {
        match self {
            Self::CpuPerDelivery | Self::Growth => 3,
            Self::P50 | Self::P99 | Self::Max | Self::MemoryPerConnection | Self::MoreCpu => 2,
            Self::FreshMemory | Self::CpuPerHandshake | Self::CpuShare | Self::LoadShare => 1,
            Self::CpuPerView | Self::RedisShare => 1,
            Self::WireBytes | Self::Deliveries | Self::Published | Self::Connects => 0,
            Self::Lost | Self::Duplicated | Self::Reordered => 0,
            Self::Unopened | Self::Unserved | Self::GaugeError => 0,
            Self::Accepted | Self::Highest | Self::Refused | Self::Miscounted => 0,
        }
    }

    /// Its value in one run.
    pub fn of(self, run: &Measurement) -> Option<f64> {
        let count = |value: Option<u64>| value.map(|value| value as f64);
        let of_crowd = |figure: fn(&Instance) -> f64| Some(figure(&run.crowd.as_ref()?.all()));
        match self {
            Self::CpuPerDelivery => run.cpu_us_per_delivery,
            Self::Deliveries => run.deliveries_per_second,
            Self::Published => run.published_per_second,
            Self::Lost => count(run.lost),
            Self::Duplicated => count(run.duplicated),
            Self::Reordered => count(run.reordered),
            Self::P50 => run.p50_ms,
            Self::P99 => run.p99_ms,
            Self::Max => run.max_ms,
            Self::CpuShare => run.cpu_percent,
            Self::LoadShare => run.load_cpu_percent,
            Self::WireBytes => run.wire_bytes_per_delivery,
            Self::MemoryPerConnection => Some(run.memory_kb_per_connection),
            Self::FreshMemory => Some(run.fresh_memory_mb),
            Self::CpuPerHandshake => Some(run.cpu_us_per_handshake),
            Self::Connects => Some(run.connects_per_second),
            Self::Growth => {
                let after = run.memory_after_rounds_mb.as_deref()?;
                Some(after.last()? / after.first()?)
            }
            Self::Unopened => of_crowd(|all| all.clients as f64 - all.open as f64),
            Self::Unserved => of_crowd(|all| all.clients as f64 - all.result.served as f64),
            // One that counts too many does not make up for one that counts too few.
            Self::GaugeError => {
                let off = |one: &Instance| one.gauge.abs_diff(one.clients as u64);
                Some(run.crowd.as_ref()?.instances.iter().map(off).sum::<u64>() as f64)
            }
            Self::Accepted => run.accepted_per_second,
            Self::Highest => run.highest_per_second,
            Self::CpuPerView => run.cpu_us_per_view,
            Self::Refused => count(run.refused),
            Self::Miscounted => count(run.miscounted),
            Self::MoreCpu => run.cpu_percent_more,
            Self::RedisShare => run.redis_cpu_percent,
        }
    }

    /// Its value over several runs: the worst where a single bad run must show,
    /// else the median. None without a valid run.
    pub fn over(self, runs: &[&Measurement]) -> Option<f64> {
        let values = self.valid(runs);
        match self {
            Self::Lost | Self::Duplicated | Self::Reordered | Self::Max => values.last().copied(),
            Self::Refused | Self::Miscounted => values.last().copied(),
            _ => median(&values),
        }
    }

    /// Its least value over several runs.
    pub fn least(self, runs: &[&Measurement]) -> Option<f64> {
        self.valid(runs).first().copied()
    }

    /// Its values in the valid runs, ascending.
    fn valid(self, runs: &[&Measurement]) -> Vec<f64> {
        let valid = runs.iter().filter(|run| run.short_sends == 0);
        let mut values: Vec<f64> = valid.filter_map(|run| self.of(run)).collect();
        // Not a number stands for what was not measured.
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        values
    }
}

fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cpu: f64, lost: u64, short_sends: u64) -> Measurement {
        let cpu_us_per_delivery = Some(cpu);
        Measurement { cpu_us_per_delivery, lost: Some(lost), short_sends, ..Measurement::default() }
    }

    #[test]
    fn gauges_that_are_wrong_in_both_ways_are_wrong() {
        let instance = |gauge| Instance { clients: 10, gauge, ..Instance::default() };
        let instances = vec![instance(9), instance(11), instance(10)];
        let crowd = Some(Outcome { connect_seconds: 1.0, instances });
        let run = Measurement { crowd, ..Measurement::default() };
        assert_eq!(Figure::GaugeError.of(&run), Some(2.0));
    }

    #[test]
    fn every_figure_is_found_by_its_heading() {
        for figure in Figure::ALL.into_iter().chain(Figure::OTHERS) {
            assert_eq!(Figure::headed(figure.heading()), Some(figure));
        }
    }

    #[test]
    fn the_median_of_costs_the_worst_of_losses_and_no_invalid_run() {
        let runs = [run(5.0, 0, 0), run(4.0, 7, 0), run(9.0, 0, 0), run(1.0, 99, 1)];
        let runs: Vec<&Measurement> = runs.iter().collect();
        assert_eq!(Figure::CpuPerDelivery.over(&runs), Some(5.0));
        assert_eq!(Figure::CpuPerDelivery.least(&runs), Some(4.0));
        assert_eq!(Figure::Lost.over(&runs), Some(7.0));
        assert_eq!(Figure::P99.over(&runs), None);
        assert_eq!(Figure::CpuPerDelivery.over(&runs[..2]), Some(4.5));
        assert_eq!(Figure::CpuPerDelivery.over(&runs[3..]), None);
    }
}
