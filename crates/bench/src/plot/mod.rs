//! `redcast-bench plot`: from the JSON of a run to SVG files and a page for people.
//!
//! [`results`] reads the file, [`catalog`] chooses what to compare, [`chart`] is what
//! a plot says, [`axis`] where its values lie, [`canvas`] puts it on paper and
//! [`page`] writes the tables around it. Nothing here looks at a clock, a path or the
//! order of a map: the same file gives the same bytes.

mod axis;
mod canvas;
mod catalog;
mod chart;
mod page;
mod results;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::catalog::Plot;
use self::results::Results;

/// The page's name, which a repository's host shows with its folder.
const PAGE: &str = "README.md";

/// The figures that the plots show, beside them.
const FIGURES: &str = "bench.json";

/// What `plot` was asked to do.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// What `redcast-bench run --json FILE` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder to write into
    #[arg(long, value_name = "FOLDER", default_value = "docs/benchmarks")]
    into: PathBuf,
}

/// Draws every plot that the file has figures for, and says which it has none for.
pub fn run(options: &Options) -> Result<()> {
    let Options { file, into } = options;
    let shown = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("can't read {shown}"))?;
    let results =
        Results::parse(&text).with_context(|| format!("{shown} is no benchmark's JSON"))?;
    let drawn = draw(&results)?;
    ensure!(drawn.iter().any(|(_, svg)| svg.is_some()), "{shown} has nothing that can be drawn");
    fs::create_dir_all(into).with_context(|| format!("can't create {}", into.display()))?;
    for (plot, svg) in &drawn {
        let path = into.join(plot.file_name());
        match svg {
            Some(svg) => write(&path, svg)?,
            None => leave_out(plot, &path)?,
        }
    }
    let plots: Vec<&Plot> =
        drawn.iter().filter(|(_, svg)| svg.is_some()).map(|(plot, _)| *plot).collect();
    write(&into.join(PAGE), &page::markdown(&results, &plots))?;
    write(&into.join(FIGURES), &text)
}

/// Each plot with its picture; none where the file lacks the figures.
fn draw(results: &Results) -> Result<Vec<(&'static Plot, Option<String>)>> {
    let mut drawn = Vec::new();
    for plot in catalog::PLOTS {
        let svg = match plot.chart(results) {
            Some(chart) => Some(
                canvas::svg(&chart, &results.conditions.summary())
                    .with_context(|| format!("can't draw {}", plot.name))?,
            ),
            None => None,
        };
        drawn.push((plot, svg));
    }
    Ok(drawn)
}

/// An older run's picture beside those of this run would tell a lie.
fn leave_out(plot: &Plot, path: &Path) -> Result<()> {
    let name = plot.file_name();
    match fs::remove_file(path) {
        Ok(()) => eprintln!("{name}: left out and the old one removed, {}", plot.needs),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("{name}: left out, {}", plot.needs);
        }
        Err(error) => {
            return Err(error).with_context(|| format!("can't remove {}", path.display()));
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests;
