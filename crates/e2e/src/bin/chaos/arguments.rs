//! What to run: flags, and the variables that `make chaos` passes on.

use std::path::PathBuf;

use redcast_e2e::chaos::{ROWS, Row, row};

const USAGE: &str = "usage: chaos [--rows NAME,NAME…] [--seed NUMBER] [--minutes NUMBER] \
                     [--json FILE] [--into DOCUMENT] [--quick] [--list]";

/// What was asked for.
pub(crate) struct Arguments {
    /// Which rows, in the table's order or as they were named.
    pub(crate) rows: Vec<&'static Row>,
    /// What decides everything that is random.
    pub(crate) seed: u64,
    /// How long the random row goes on.
    pub(crate) minutes: u64,
    /// Where the report goes, with what earlier runs of the same commit left there; the
    /// table for a document goes beside it.
    pub(crate) json: PathBuf,
    /// The document that gets the table between its markers.
    pub(crate) into: Option<PathBuf>,
    /// Whether everything is as small as in the stories, with their deadlines.
    pub(crate) is_quick: bool,
}

impl Arguments {
    /// Reads the flags, and where one is missing `ROWS`, `SEED` and `MINUTES`.
    pub(crate) fn read() -> Result<Self, String> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let mut rows = variable("ROWS");
        let mut seed = variable("SEED");
        let mut minutes = variable("MINUTES");
        let mut json = PathBuf::from("target/chaos/chaos.json");
        let mut into = None;
        let mut is_quick = false;
        let mut flags = std::env::args().skip(1);
        while let Some(flag) = flags.next() {
            let mut value = || flags.next().ok_or(USAGE);
            match flag.as_str() {
                "--rows" => rows = Some(value()?),
                "--seed" => seed = Some(value()?),
                "--minutes" => minutes = Some(value()?),
                "--json" => json = value()?.into(),
                "--into" => into = Some(value()?.into()),
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
            into,
            is_quick,
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
