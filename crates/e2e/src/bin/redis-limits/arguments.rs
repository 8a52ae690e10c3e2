//! What to measure: the flags.

use redcast_e2e::limits::{ROWS, Row, Scale, row};

const USAGE: &str = "usage: redis-limits [--rows NAME,NAME…] [--quick] [--json FILE] \
                     [--markdown FILE] [--list]";

/// What was asked for.
pub(crate) struct Arguments {
    /// Which rows, in the table's order or as they were named.
    pub(crate) rows: Vec<&'static Row>,
    /// How large the run is.
    pub(crate) scale: Scale,
    /// Where the report goes.
    pub(crate) json: String,
    /// The document that gets the tables.
    pub(crate) markdown: Option<String>,
}

impl Arguments {
    /// Reads the flags; an error is what to tell the user.
    pub(crate) fn read() -> Result<Self, String> {
        let mut rows = ROWS.iter().collect();
        let mut scale = Scale::full();
        let mut json = "target/bench/redis.json".to_owned();
        let mut markdown = None;
        let mut flags = std::env::args().skip(1);
        while let Some(flag) = flags.next() {
            let mut value = || flags.next().ok_or(USAGE);
            match flag.as_str() {
                "--rows" => rows = chosen(&value()?)?,
                "--quick" => scale = Scale::quick(),
                "--json" => json = value()?,
                "--markdown" => markdown = Some(value()?),
                "--list" => return Err(names()),
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(Self { rows, scale, json, markdown })
    }
}

fn chosen(rows: &str) -> Result<Vec<&'static Row>, String> {
    let known = |name: &str| row(name).ok_or_else(|| format!("no row {name:?}:\n{}", names()));
    rows.split(',').map(str::trim).map(known).collect()
}

fn names() -> String {
    let names: Vec<_> = ROWS.iter().map(|row| format!("{:<15} {}", row.name, row.what)).collect();
    names.join("\n")
}
