//! The page around the plots: how they came about, and the tables.

use std::fmt::Write;

use super::catalog::Plot;
use super::results::{Comparison, Results, Scenario};
use crate::figure::Figure;
use crate::once;
use crate::table::number;

/// The whole page, with the `plots` that were drawn.
pub(super) fn markdown(results: &Results, plots: &[&Plot]) -> String {
    let mut page = head(results);
    if !results.comparisons.is_empty() {
        page.push_str("\n## Against the budget\n\n");
        page.push_str(match results.conditions.command.as_deref() {
            Some("collect") => "The baseline of a figure is its own budget.",
            _ => {
                "The baseline is the floor or, where the gateway is compared with itself, the \
                 gateway as it is by default."
            }
        });
        page.push_str(
            " Ratios are those of the medians and, beside them, of the least values.\n\n",
        );
        table(&mut page, &COMPARED, &results.comparisons, compared);
    }
    page.push_str("\n## Plots\n");
    for plot in plots {
        let (caption, file) = (plot.caption, plot.file_name());
        let _ = write!(page, "\n{caption}\n\n![{}]({file})\n", plot.name);
    }
    page.push_str("\n## All figures\n\n");
    page.push_str("Medians; lost, duplicated, reordered and max are those of the worst run.\n\n");
    figures(&mut page, results);
    page
}

fn head(results: &Results) -> String {
    let conditions = &results.conditions;
    let options = match conditions.options.as_deref() {
        Some("") => ", without options,".to_owned(),
        Some(options) => format!(" with the options `{}`", cell(options)),
        None => String::new(),
    };
    let mut head = format!(
        "<!-- Written by redcast-bench plot; what is changed here is lost. -->\n\
         # Benchmarks\n\n\
         `redcast-bench {}`{} measured this. Every single run is in [bench.json](bench.json); \
         `redcast-bench plot FILE.json` draws such a file again.\n\n\
         - Machine: {}\n- Placement: {}\n- Rounds: {}, each server once per round, every second \
         round in reverse order\n- Measured window: {} s\n",
        cell(conditions.command.as_deref().unwrap_or("run")),
        options,
        cell(&conditions.machine),
        cell(&conditions.placement),
        conditions.rounds,
        conditions.window_seconds,
    );
    let once = results.scenarios.iter().filter(|scenario| once::is_key(&scenario.key));
    let once: Vec<String> = once.map(|scenario| format!("({})", scenario.key)).collect();
    if !once.is_empty() {
        let _ = writeln!(head, "- Once, not in rounds: {}", once.join(", "));
    }
    if let Some(why) = &conditions.ended_early {
        let _ = writeln!(head, "- The run ended before all was measured: {}", cell(why));
    }
    let notes = results.scenarios.iter().flat_map(Scenario::notes);
    for note in conditions.left_out.iter().cloned().chain(notes) {
        let _ = writeln!(head, "- {}", cell(&note));
    }
    head
}

const COMPARED: [&str; 9] =
    ["scenario", "figure", "system", "ratio", "least", "value", "baseline", "budget", "reached"];

fn compared(line: &Comparison) -> Vec<String> {
    let digits = Figure::headed(&line.figure).map_or(2, Figure::digits);
    let reached = match line.reached.as_str() {
        "reached" => "yes",
        "missed" => "**no**",
        "not judged" => "**not judged**",
        _ => "-",
    };
    vec![
        cell(&line.scenario),
        cell(&line.figure),
        cell(&line.contender),
        number(line.ratio, 2),
        number(line.ratio_of_least, 2),
        number(line.value, digits),
        number(line.floor, digits),
        cell(&line.bar),
        reached.to_owned(),
    ]
}

/// Only the columns that some scenario has a figure for.
fn figures(page: &mut String, results: &Results) {
    let systems = || results.scenarios.iter().flat_map(|scenario| &scenario.systems);
    let measured = |figure: &Figure| systems().any(|system| system.median(*figure).is_some());
    let columns: Vec<Figure> = Figure::ALL.into_iter().filter(measured).collect();
    let mut heading = vec!["scenario", "system"];
    heading.extend(columns.iter().map(|figure| figure.heading()));
    let rows: Vec<(&Scenario, usize)> = results
        .scenarios
        .iter()
        .flat_map(|scenario| (0..scenario.systems.len()).map(move |index| (scenario, index)))
        .collect();
    table(page, &heading, &rows, |(scenario, index)| {
        let system = &scenario.systems[*index];
        let mut row = vec![cell(&scenario.key), cell(&system.name)];
        row.extend(columns.iter().map(|figure| number(system.median(*figure), figure.digits())));
        row
    });
    page.push('\n');
    for scenario in &results.scenarios {
        let _ = writeln!(page, "- ({}) {}", cell(&scenario.key), cell(&scenario.title));
    }
}

fn table<T>(page: &mut String, heading: &[&str], rows: &[T], row: impl Fn(&T) -> Vec<String>) {
    let _ = writeln!(page, "| {} |", heading.join(" | "));
    let _ = writeln!(page, "|{}", "---|".repeat(heading.len()));
    for each in rows {
        let _ = writeln!(page, "| {} |", row(each).join(" | "));
    }
}

/// Words that mean nothing to Markdown, on one line.
fn cell(words: &str) -> String {
    let one_line: Vec<&str> = words.split_whitespace().collect();
    one_line.join(" ").replace('|', "\\|").replace('<', "&lt;")
}
