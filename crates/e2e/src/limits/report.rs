//! What was measured: as a line, as tables for a terminal and for docs/REDIS.md, and as
//! JSON.

use serde_json::{Value, json as value};

use super::carry::{CHANNELS, Carried};
use super::follow::Followed;
use super::publisher::SIZE;
use super::rows::{Figures, Row};
use super::{Scale, rows};

const BEGIN: &str = "<!-- limits: begin";
const END: &str = "<!-- limits: end -->";
const CARRIED: &str = "\
| Redis and gateways | events published, each delivered by every gateway | CPU of all servers, µs per event \
| CPU of the busiest server, µs per event | CPU of a gateway, µs per event \
| events a second that fill one core of the busiest server |
|---|---|---|---|---|---|
";
const FOLLOWED: &str = "\
| followed without events, by one gateway | Redis, % of a core | gateway, % of a core \
| gateway's memory |
|---|---|---|---|
";

/// A row and its rounds.
pub struct Measured {
    /// Which.
    pub row: &'static Row,
    /// What each round gave, or why it counts for nothing.
    pub rounds: Vec<Result<Figures, String>>,
}

/// Where and when it was measured, beside the size of the run.
pub struct Setting {
    /// Events, rounds and windows.
    pub scale: Scale,
    /// What `redis-server --version` says.
    pub redis: String,
    /// Cores of the machine.
    pub cores: usize,
}

impl Measured {
    /// Whether every round delivered everything.
    pub fn is_whole(&self) -> bool {
        !self.rounds.is_empty() && self.rounds.iter().all(Result::is_ok)
    }

    fn figures(&self) -> impl Iterator<Item = &Figures> {
        self.rounds.iter().flatten()
    }

    fn carried(&self, figure: impl Fn(&Carried) -> f64) -> Option<f64> {
        middle(self.figures().filter_map(|figures| match figures {
            Figures::Carried(carried) => Some(figure(carried)),
            Figures::Followed(_) => None,
        }))
    }

    fn followed(&self, figure: impl Fn(&Followed) -> f64) -> Option<f64> {
        middle(self.figures().filter_map(|figures| match figures {
            Figures::Followed(followed) => Some(figure(followed)),
            Figures::Carried(_) => None,
        }))
    }

    /// The lines of both tables that this row has: none where it is of the other kind, or
    /// where nothing came out.
    fn cells(&self) -> (Option<String>, Option<String>) {
        let carried = || {
            let published = self.carried(|carried| carried.published as f64)?;
            let busiest = self.carried(Carried::busiest_us)?;
            Some(format!(
                "| {} (`{}`) | {} | {:.1} | {busiest:.1} | {:.1} | {} |\n",
                self.row.what,
                self.row.name,
                grouped(published),
                self.carried(Carried::redis_us)?,
                self.carried(Carried::gateway_us)?,
                ceiling(busiest),
            ))
        };
        let followed = || {
            Some(format!(
                "| {} (`{}`) | {:.2} | {:.2} | {} |\n",
                self.row.what,
                self.row.name,
                self.followed(|followed| followed.redis_percent)?,
                self.followed(|followed| followed.gateway_percent)?,
                megabytes(self.followed(|followed| followed.gateway_bytes as f64)?),
            ))
        };
        (carried(), followed())
    }
}

/// One round in a line.
pub fn line(round: &Result<Figures, String>) -> String {
    match round {
        Err(wrong) => format!("FAILED: {wrong}"),
        Ok(Figures::Carried(carried)) => format!(
            "{} published, delivered {:?}; per event: Redis {:.1} µs, its busiest {:.1} µs, \
             a gateway {:.1} µs",
            carried.published,
            carried.delivered,
            carried.redis_us(),
            carried.busiest_us(),
            carried.gateway_us()
        ),
        Ok(Figures::Followed(followed)) => format!(
            "Redis {:.2} %, gateway {:.2} %, {}",
            followed.redis_percent,
            followed.gateway_percent,
            megabytes(followed.gateway_bytes as f64)
        ),
    }
}

/// Both tables with the medians of whole rows, in Markdown, which a terminal shows as it is.
pub fn table(rows: &[Measured], setting: &Setting) -> String {
    let Setting { scale, redis, cores } = setting;
    let cells: Vec<_> = rows.iter().filter(|row| row.is_whole()).map(Measured::cells).collect();
    let carried: String = cells.iter().filter_map(|(carried, _)| carried.as_deref()).collect();
    let followed: String = cells.iter().filter_map(|(_, followed)| followed.as_deref()).collect();
    format!(
        "{} events of {SIZE} bytes, {} a second over {CHANNELS} channels, {} at a time where \
         nothing else is said; {}; Redis {redis} on {cores} cores.\n\n\
         {CARRIED}{carried}\n{FOLLOWED}{followed}",
        grouped(scale.events() as f64),
        grouped(scale.rate as f64),
        rows::BATCH,
        rounds(scale.rounds),
    )
}

/// A document with the tables between its marks; none where it has no marks.
pub fn document(text: &str, tables: &str) -> Option<String> {
    let begin = text.find(BEGIN)?;
    let first = begin + text[begin..].find('\n')? + 1;
    let last = first + text[first..].find(END)?;
    Some([&text[..first], tables.trim_end(), "\n", &text[last..]].concat())
}

/// All rounds for a machine.
pub fn json(rows: &[Measured], setting: &Setting) -> Value {
    let rows = rows.iter().map(|measured| {
        let rounds = measured.rounds.iter().map(|round| match round {
            Ok(figures) => value!(figures),
            Err(wrong) => value!({ "failed": wrong }),
        });
        value!({
            "name": measured.row.name, "what": measured.row.what, "whole": measured.is_whole(),
            "redis_us": measured.carried(Carried::redis_us),
            "busiest_us": measured.carried(Carried::busiest_us),
            "gateway_us": measured.carried(Carried::gateway_us),
            "redis_percent": measured.followed(|followed| followed.redis_percent),
            "gateway_percent": measured.followed(|followed| followed.gateway_percent),
            "gateway_bytes": measured.followed(|followed| followed.gateway_bytes as f64),
            "rounds": rounds.collect::<Vec<_>>(),
        })
    });
    value!({
        "redis": setting.redis, "cores": setting.cores, "events": setting.scale.events(),
        "rate": setting.scale.rate, "rows": rows.collect::<Vec<_>>(),
    })
}

/// The median; the mean of the two in the middle where there is no one value.
fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some(f64::midpoint(values[last / 2], values[last.div_ceil(2)]))
}

fn rounds(count: usize) -> String {
    if count == 1 { "one round".to_owned() } else { format!("medians of {count} rounds") }
}

/// Two digits count: the rest differs from run to run.
fn ceiling(busiest_us: f64) -> String {
    if busiest_us <= 0.0 {
        return "not to be told".to_owned();
    }
    let events = 1e6 / busiest_us;
    let unit = 10_f64.powf(events.log10().floor() - 1.0).max(1.0);
    grouped((events / unit).round() * unit)
}

fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
