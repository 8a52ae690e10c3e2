//! `make bench-redis`: measures what an event costs each topology of Redis and the
//! gateways over it, prints the tables, and exits 1 if a row lost anything.

#![allow(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test's helper fails by panicking, and its tasks end with it"
)]

mod arguments;

use std::any::Any;
use std::path::Path;
use std::process::{Command, ExitCode};

use redcast_e2e::limits::{Figures, Measured, Row, Scale, Setting, document, json, line, table};
use redcast_e2e::raise_descriptor_limit;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

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
    let setting = match setting(&arguments) {
        Ok(setting) => setting,
        Err(missing) => {
            eprintln!("{missing}");
            return ExitCode::from(2);
        }
    };
    raise_descriptor_limit();
    let measured = measure(&arguments, &setting).await;
    let tables = table(&measured, &setting);
    println!("\n{tables}");
    if !measured.iter().all(Measured::is_whole) {
        eprintln!("a row lost something, so nothing is written into any document");
        return ExitCode::FAILURE;
    }
    if let Some(path) = &arguments.markdown {
        fill(path, &tables);
    }
    ExitCode::SUCCESS
}

/// All rows once, then all of them again: whatever slows the machine for a while falls on
/// one round of many rows.
async fn measure(arguments: &Arguments, setting: &Setting) -> Vec<Measured> {
    let rows = arguments.rows.iter().map(|&row| Measured { row, rounds: Vec::new() });
    let mut measured: Vec<Measured> = rows.collect();
    let (rounds, count) = (arguments.scale.rounds, measured.len());
    for round in 1..=rounds {
        for at in 0..count {
            let row = measured[at].row;
            let figures = attempt(row, arguments.scale).await;
            let told = line(&figures);
            println!("[round {round}/{rounds}, row {}/{count}] {}: {told}", at + 1, row.name);
            measured[at].rounds.push(figures);
            write(&arguments.json, &json(&measured, setting).to_string());
        }
    }
    measured
}

/// Runs a row on a thread of its own, so that one that panics is lost and the others go on.
async fn attempt(row: &'static Row, scale: Scale) -> Result<Figures, String> {
    let runtime = Handle::current();
    let running = spawn_blocking(move || runtime.block_on(row.round(&scale)));
    running.await.unwrap_or_else(|error| Err(words(&*error.into_panic())))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

/// What is measured with; an error is what is missing.
fn setting(arguments: &Arguments) -> Result<Setting, String> {
    if std::env::var_os("GATEWAY_BIN").is_none() {
        return Err("GATEWAY_BIN must name the gateway's binary".to_owned());
    }
    let output = Command::new("redis-server").arg("--version").output();
    let output =
        output.map_err(|error| format!("redis-server: {error} (apt-get install redis-server)"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let redis = version(&String::from_utf8_lossy(&output.stdout));
    Ok(Setting { scale: arguments.scale, redis, cores })
}

/// From a line such as `Redis server v=7.0.15 sha=…`.
fn version(line: &str) -> String {
    let version = line.split_whitespace().find_map(|word| word.strip_prefix("v="));
    version.unwrap_or("of an unknown version").to_owned()
}

fn fill(path: &str, tables: &str) {
    let text = std::fs::read_to_string(path).expect("the document can be read");
    let filled = document(&text, tables).expect("the document has marks for the tables");
    write(path, &filled);
}

fn write(path: &str, text: &str) {
    if let Some(folder) = Path::new(path).parent() {
        std::fs::create_dir_all(folder).expect("the folder can be made");
    }
    std::fs::write(path, text).expect("the file can be written");
}
