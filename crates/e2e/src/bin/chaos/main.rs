//! `make chaos`: lets every fault of the matrix loose on whole gateways under load,
//! prints what it cost beside what it may cost, and exits 1 if a bar was missed.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test's helper fails by panicking, and its tasks end with it"
)]

mod arguments;

use std::any::Any;
use std::process::ExitCode;
use std::time::Instant;

use redcast_e2e::chaos::{Findings, Judged, Row, Scale, json, markdown, table};
use redcast_e2e::raise_descriptor_limit;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use arguments::Arguments;

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
    let mut judged = Vec::new();
    for (number, row) in (1..).zip(&arguments.rows) {
        println!("[{number}/{}] {}: {}", arguments.rows.len(), row.name, row.fault);
        let done = judge(row, &scale).await;
        judged.push(done);
        write(&arguments.json, &json(&judged, arguments.seed).to_string());
    }
    println!("{}", table(&judged));
    if arguments.is_markdown {
        println!("{}", markdown(&judged));
    }
    if judged.iter().all(Judged::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a row on a thread of its own, so that one that panics misses its bar and the
/// others go on.
async fn judge(row: &'static Row, scale: &Scale) -> Judged {
    let (began, scale) = (Instant::now(), scale.clone());
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
    Judged { row, findings: findings.all(), took: began.elapsed() }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

fn write(path: &str, text: &str) {
    let folder = std::path::Path::new(path).parent().expect("a file in a folder");
    std::fs::create_dir_all(folder).expect("the folder can be made");
    std::fs::write(path, text).expect("the report can be written");
}
