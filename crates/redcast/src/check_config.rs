//! `redcast check-config`: is this a configuration that can be run?

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::EXIT_CONFIG;
use crate::cli::ServeFlags;
use crate::layers::{self, Loaded, Problems};
use crate::terminal::{print, warn};

/// Flags of `check-config`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  redcast check-config --config redcast.toml\n\n\
    Exit codes: 0 fine, 78 wrong.")]
pub(crate) struct CheckConfigFlags {
    #[command(flatten)]
    serve: ServeFlags,
    /// Answer as JSON, on standard output:
    /// {"ok":…,"errors":[{"source","key","message"}],"warnings":["…"]}
    #[arg(long)]
    json: bool,
}

/// Judges the configuration as `serve` would read it here.
pub(crate) fn run(flags: &CheckConfigFlags) -> Result<u8> {
    let read = layers::read(&flags.serve);
    if flags.json {
        let errors = read.as_ref().err().map_or(&[][..], |Problems(problems)| problems);
        let warnings = read.as_ref().map_or(&[][..], |loaded| &loaded.warnings);
        let answer = json!({ "ok": read.is_ok(), "errors": errors, "warnings": warnings });
        print(format!("{answer}\n"))?;
        return Ok(if read.is_ok() { 0 } else { EXIT_CONFIG });
    }
    let loaded = read.map_err(|problems| crate::app::BadConfig(problems.into()))?;
    for warning in &loaded.warnings {
        warn(warning);
    }
    print(format!("configuration is fine ({})\n", summary(&loaded)))?;
    Ok(0)
}

fn summary(loaded: &Loaded) -> String {
    let counted = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let file = loaded.file.as_ref().map_or("no file".to_owned(), |path| path.display().to_string());
    let (variables, flags) = (counted(loaded.variables, "variable"), counted(loaded.flags, "flag"));
    format!("{file}, {variables}, {flags}")
}
