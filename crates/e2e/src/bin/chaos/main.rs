//! `make chaos`: lets every fault of the matrix loose on whole gateways under load,
//! prints what it cost beside what it may cost, and exits 1 if a bar was missed.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test's helper fails by panicking, and its tasks end with it"
)]

mod arguments;

use std::any::Any;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use redcast_e2e::chaos::{Finding, Findings, Judged, Report, Row, Scale, day, table};
use redcast_e2e::{raise_descriptor_limit, unix_ms};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use arguments::Arguments;

/// What is judged, as git names it.
const CODE: [&str; 4] = ["crates", "Cargo.toml", "Cargo.lock", ":!crates/*/tests"];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = match Arguments::read() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    raise_descriptor_limit();
    let scale = if arguments.is_quick {
        Scale::story()
    } else {
        Scale::full(arguments.seed, arguments.minutes)
    };
    println!("seed {}", arguments.seed);
    let (mut judged, commit) = (Vec::new(), commit());
    let mut report = Report::read(&std::fs::read_to_string(&arguments.json).unwrap_or_default());
    for (number, row) in (1..).zip(&arguments.rows) {
        println!("[{number}/{}] {}: {}", arguments.rows.len(), row.name, row.fault);
        let began = Instant::now();
        let findings = judge(row, &scale).await;
        let run = (arguments.seed, &*day(unix_ms() / 1000), &*commit);
        let done = Judged::new(row, findings, began.elapsed().as_secs_f64(), run);
        judged.push(done.clone());
        report.add(done);
        write(&arguments.json, &report.json());
        write(&arguments.json.with_extension("md"), &report.markdown());
    }
    println!("{}", table(&judged));
    if let Some(document) = &arguments.into {
        let text = std::fs::read_to_string(document).expect("the document can be read");
        write(document, &report.within(&text).expect("the document has the table's markers"));
    }
    if judged.iter().all(Judged::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Which state of the code this is, so that tables of two are never mixed: the last commit
/// that changed it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let of_code = |arguments: &[&str]| git(&[arguments, &["--"], &CODE].concat());
    let commit = of_code(&["log", "-1", "--format=%h"]).unwrap_or_else(|| "unknown".to_owned());
    let changed = of_code(&["status", "--porcelain"]).unwrap_or_default();
    if changed.is_empty() { commit } else { commit + "-changed" }
}

/// Runs a row on a thread of its own, so that one that panics misses its bar and the
/// others go on.
async fn judge(row: &'static Row, scale: &Scale) -> Vec<Finding> {
    let scale = scale.clone();
    let runtime = Handle::current();
    // What a row found before it panics is found all the same.
    let mut findings = Findings::new(scale.stretch);
    let mut written = findings.clone();
    let running = spawn_blocking(move || {
        let findings = &mut written;
        let running = async { timeout(row.limit, (row.run)(&scale, findings)).await };
        if runtime.block_on(running).is_err() {
            findings.broken(&format!("not within {} s", row.limit.as_secs()));
        }
    });
    if let Err(error) = running.await {
        findings.broken(&words(&*error.into_panic()));
    }
    findings.all()
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

fn write(path: &Path, text: &str) {
    let folder = path.parent().expect("a file in a folder");
    std::fs::create_dir_all(folder).expect("the folder can be made");
    std::fs::write(path, text).expect("the report can be written");
}
