//! Runs against the real gateway: a small crowd over six, rounds of clients, and what
//! ends a run early.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::ffi::OsString;

use redcast_bench::setup::Setup;
use redcast_e2e::redcast;
use support::{Running, bench, is_alive, script};

#[allow(dead_code, reason = "each file of tests uses some of it")]
mod support;

/// Redis, six gateways and six load processes.
const CHILDREN: usize = 13;

fn gateway() -> OsString {
    redcast().as_std().get_program().to_owned()
}

#[test]
fn all_are_open_at_once_and_all_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.json");
    let mut command = bench(&["run", "--quick", "--only", "h", "--json"]);
    let output = command.arg(&path).arg("--gateway").arg(gateway()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("once per run, not in rounds"), "{stdout}");
    assert!(!stdout.contains("MISSED"), "{stdout}");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let scenario = &json["scenarios"][0];
    assert_eq!((&scenario["key"], &scenario["clients"]), (&"h".into(), &6_000.into()));
    let instances = scenario["runs"]["gateway"][0]["crowd"]["instances"].as_array().unwrap();
    assert_eq!(instances.len(), 6);
    for instance in instances {
        for figure in ["clients", "open", "served", "gauge"] {
            assert_eq!(instance[figure], 1_000, "{figure} of {instance}");
        }
        for figure in ["lost", "duplicated", "reordered"] {
            assert_eq!(instance[figure], 0, "{figure} of {instance}");
        }
        let last_ms = instance["last_ms"].as_f64().unwrap();
        assert!(last_ms > 0.0 && last_ms < 60_000.0, "{instance}");
    }
    let bars = json["comparisons"].as_array().unwrap();
    assert!(bars.len() >= 5 && bars.iter().all(|bar| bar["reached"] == "reached"), "{bars:?}");
}

#[test]
fn a_gateway_that_dies_in_the_middle_is_named() {
    let crowd = Crowd::connected();
    crowd.run.kill_child("redcast serve");
    crowd.run.check_fails("the gateway 1 ended in the middle of the run (signal: 9 (SIGKILL))");
}

#[test]
fn a_load_process_that_dies_in_the_middle_is_named() {
    let crowd = Crowd::connected();
    crowd.run.kill_child("crowd-load");
    crowd.run.check_fails("a load process ended in the middle of the run (signal: 9 (SIGKILL))");
}

#[test]
fn a_redis_that_dies_ends_the_run_though_the_gateway_lives_on() {
    let mut command = bench(&["run", "--only", "slow", "--window", "600", "--gateway"]);
    let mut run = Running::start(command.arg(gateway()));
    run.until_it_says("(slow) round 1 of 5");
    run.until_it_publishes();
    run.kill_child("redis-server");
    run.check_fails("Redis ended in the middle of the run");
}

#[test]
fn ctrl_c_leaves_nothing_running() {
    let mut crowd = Crowd::connected();
    let children = crowd.run.children(CHILDREN);
    crowd.run.press_ctrl_c();
    assert_eq!(crowd.run.end(), Some(130));
    for (pid, line) in children {
        assert!(!is_alive(pid), "still runs: {line}");
    }
}

/// A crowd in the middle of its run.
struct Crowd {
    run: Running,
    // The folder of its redis-server, which must outlive the run.
    _redis: tempfile::TempDir,
}

impl Crowd {
    /// All of it is connected, and waits for events that never come: its Redis publishes
    /// nothing but the canaries of the gateways, without which they would not be ready.
    /// Served, it would be done in two seconds, and the run could end by itself before a
    /// test on a busy machine gets to end it.
    fn connected() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::var("PATH").unwrap();
        let lines = format!(
            "PATH='{path}'\n[ \"$1\" = --version ] && exec redis-server --version\n\
             exec redis-server \"$@\" --user default on nopass '~*' '&*' +@all -publish \
             '(+publish' '&redcast:canary:*)'"
        );
        script(folder.path(), "redis-server", &lines);
        let mut command = bench(&["run", "--quick", "--only", "h", "--gateway"]);
        command.arg(gateway()).env("PATH", format!("{}:{path}", folder.path().display()));
        let mut run = Running::start(&mut command);
        run.until_it_says("(h) counting the connections");
        Self { run, _redis: folder }
    }
}

#[test]
fn five_rounds_of_clients_are_told_in_one_line() {
    let mut command = bench(&["run", "--quick", "--only", "rounds", "--gateway"]);
    let output = command.arg(gateway()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = stdout.lines().find(|line| line.contains("after each round")).unwrap();
    let values = line.split("after each round ").nth(1).unwrap().split(" MB").next().unwrap();
    let values: Vec<f64> = values.split(", ").map(|value| value.parse().unwrap()).collect();
    assert!(values.len() == 5 && values.iter().all(|&value| value > 1.0), "{line}");
    assert!(stdout.contains("memory last ÷ first"), "{stdout}");
}

#[test]
fn deflate_saves_bytes_and_a_silent_client_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bench.json");
    let mut command = bench(&["run", "--quick", "--only", "deflate,slow", "--json"]);
    let output = command.arg(&path).arg("--gateway").arg(gateway()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let run = |index: usize, name: &str| json["scenarios"][index]["runs"][name][0].clone();
    let bytes = |name| run(0, name)["wire_bytes_per_delivery"].as_f64().unwrap();
    assert!(bytes("on") < bytes("off") * 0.5, "{} and {}", bytes("on"), bytes("off"));
    let silent = run(1, "with");
    let waited = silent["silent_backlog_kb"].as_f64().unwrap();
    assert!(waited > 0.0 || silent["silent_closed"] == true, "{silent}");
    assert!(run(1, "without")["silent_backlog_kb"].is_null(), "{json}");
}

#[test]
fn the_gateway_takes_the_configuration_of_every_setup() {
    let many = Setup { channels: 5_000, ..Setup::default() };
    for setup in [many, Setup { deflate: true, ..Setup::default() }] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("redcast.toml");
        std::fs::write(&path, setup.gateway_config().unwrap()).unwrap();
        let mut command = std::process::Command::new(gateway());
        let output = command.args(["check-config", "--config"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
