//! What figures alone don't say of themselves: runs that don't count, a machine that was
//! not quiet, a load generator that was late. Told with every report and on the page.

use crate::figure::{Figure, Measurement};

/// Above this many µs per delivery in scenario (a) the floor itself is not right:
/// the machine is not quiet, and no figure of the run means much.
const QUIET_FLOOR: f64 = 7.0;

/// Above this share of its CPU, per cent, the load generator is no longer on time:
/// what it sees late, and what it sends late, looks like the server's doing.
const BUSY_LOAD: f64 = 90.0;

/// Later than this, ms, the publisher did not keep its pace: half of its beats, or one.
const LATE_P50_MS: f64 = 5.0;
const LATE_MAX_MS: f64 = 50.0;

/// The notes on the scenario `key`: on each system's runs, by its name.
pub fn notes(key: &str, systems: &[(&str, &[Measurement])]) -> Vec<String> {
    let mut notes = Vec::new();
    for &(name, runs) in systems {
        let found = [short_sends, closed, busy_load, late_publisher, silent_client];
        let found = found.into_iter().filter_map(|note| note(name, runs, key));
        notes.extend(found);
        if (key, name) == ("a", "floor") {
            notes.extend(dear_floor(runs));
        }
    }
    notes
}

/// None where no run that counts has the figure.
fn over(figure: Figure, runs: &[Measurement]) -> Option<f64> {
    figure.over(&runs.iter().collect::<Vec<_>>())
}

fn dear_floor(runs: &[Measurement]) -> Option<String> {
    let cost = over(Figure::CpuPerDelivery, runs).filter(|&cost| cost > QUIET_FLOOR)?;
    Some(format!(
        "the floor took {cost:.1} µs per delivery in (a), above {QUIET_FLOOR}: the machine is not \
         quiet, or something is wrong with the floor."
    ))
}

fn short_sends(name: &str, runs: &[Measurement], key: &str) -> Option<String> {
    let (all, invalid) = (runs.len(), runs.iter().filter(|run| run.short_sends > 0).count());
    (invalid > 0).then(|| {
        format!("{invalid} of {all} runs of {name} in ({key}) had short sends and don't count.")
    })
}

fn closed(name: &str, runs: &[Measurement], key: &str) -> Option<String> {
    let closed: usize = runs.iter().map(|run| run.closed).sum();
    (closed > 0).then(|| format!("{name} closed {closed} connections in ({key})."))
}

fn busy_load(name: &str, runs: &[Measurement], key: &str) -> Option<String> {
    let share = over(Figure::LoadShare, runs).filter(|&share| share > BUSY_LOAD)?;
    Some(format!(
        "the load generator and Redis used {share:.0} % of their CPU in ({key}) with {name}: \
         latencies are theirs too, and rates may be their limit."
    ))
}

/// Latency counts from the write, so that a late write is no latency; but the pace was
/// not the scenario's.
fn late_publisher(name: &str, runs: &[Measurement], key: &str) -> Option<String> {
    let most =
        |late: fn(&Measurement) -> Option<f64>| runs.iter().filter_map(late).fold(0.0, f64::max);
    let (p50, max) = (most(|run| run.publish_late_p50_ms), most(|run| run.publish_late_max_ms));
    (p50 > LATE_P50_MS || max > LATE_MAX_MS).then(|| {
        format!(
            "the publisher was late in ({key}) with {name}, by {p50:.1} ms at the median and \
             {max:.0} ms at the worst: the events came less evenly than the row says."
        )
    })
}

fn silent_client(name: &str, runs: &[Measurement], key: &str) -> Option<String> {
    let (all, waited) = (runs.len(), runs.iter().filter_map(|run| run.silent_backlog_kb));
    let most = waited.reduce(f64::max)?;
    let closed = runs.iter().filter(|run| run.silent_closed == Some(true)).count();
    let others = match closed < all {
        true => format!("; in the others up to {most:.0} KB waited for it at the end"),
        false => String::new(),
    };
    Some(format!(
        "the client that never reads was closed with 4409 in {closed} of {all} runs of {name} in \
         ({key}){others}."
    ))
}
