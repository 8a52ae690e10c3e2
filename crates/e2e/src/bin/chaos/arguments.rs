//! What to run: flags, and the variables that `make chaos` passes on.

use redcast_e2e::chaos::{ROWS, Row, row};

const USAGE: &str = "usage: chaos [--rows NAME,NAME…] [--seed NUMBER] [--minutes NUMBER] \
                     [--json FILE] [--markdown] [--quick] [--list]";

/// What was asked for.
pub(crate) struct Arguments {
    /// Which rows, in the table's order or as they were named.
    pub(crate) rows: Vec<&'static Row>,
    /// What decides everything that is random.
    pub(crate) seed: u64,
    /// How long the random row goes on.
    pub(crate) minutes: u64,
    /// Where the report goes.
    pub(crate) json: String,
    /// Whether everything is as small as in the stories, with their deadlines.
    pub(crate) is_quick: bool,
    /// Whether the table is also printed for a document.
    pub(crate) is_markdown: bool,
}

impl Arguments {
    /// Reads the flags, and where one is missing `ROWS`, `SEED` and `MINUTES`.
    pub(crate) fn read() -> Result<Self, String> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut rows = variable("ROWS");
        let mut seed = variable("SEED");
        let mut minutes = variable("MINUTES");
        let mut json = "target/chaos/chaos.json".to_owned();
        let mut is_markdown = false;
        let mut is_quick = false;
        let mut flags = std::env::args().skip(1);
        while let Some(flag) = flags.next() {
            let mut value = || flags.next().ok_or(USAGE);
            match flag.as_str() {
                "--rows" => rows = Some(value()?),
                "--seed" => seed = Some(value()?),
                "--minutes" => minutes = Some(value()?),
                "--json" => json = value()?,
                "--markdown" => is_markdown = true,
                "--quick" => is_quick = true,
                "--list" => return Err(names().join("\n")),
                _ => return Err(USAGE.to_owned()),
            }
        }
        Ok(Self {
            rows: chosen(rows.as_deref())?,
            seed: number(seed.as_deref(), random())?,
            minutes: number(minutes.as_deref(), 30)?,
            json,
            is_quick,
            is_markdown,
        })
    }
}

fn chosen(rows: Option<&str>) -> Result<Vec<&'static Row>, String> {
    let Some(rows) = rows else { return Ok(ROWS.iter().collect()) };
    let known = |name: &str| {
        row(name).ok_or_else(|| format!("no row {name:?}; there are: {}", names().join(", ")))
    };
    rows.split(',').map(str::trim).map(known).collect()
}

fn names() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.name).collect()
}

fn number(text: Option<&str>, otherwise: u64) -> Result<u64, String> {
    let Some(text) = text else { return Ok(otherwise) };
    text.parse().map_err(|_| format!("{text:?} is no number\n{USAGE}"))
}

fn random() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs())
}
