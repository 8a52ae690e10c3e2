//! The program as its users start it: bad conditions, a whole short run, Ctrl-C.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_redcast-bench");

fn bench(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_remove("GATEWAY_BIN");
    command
}

#[track_caller]
fn check_fails(output: &Output, expected: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(last.starts_with("redcast-bench: ") && last.contains(expected), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_missing_gateway_is_one_clear_sentence() {
    let output = bench(&["run", "--gateway", "no/such/file"]).output().unwrap();
    check_fails(&output, "there is no gateway at no/such/file: build it");
}

#[test]
fn a_gateway_that_ends_at_once_is_one_clear_sentence() {
    let output = bench(&["run", "--only", "a", "--gateway", "/bin/false"]).output().unwrap();
    check_fails(&output, "the gateway ended before it was ready (exit status: 1)");
}

#[test]
fn a_missing_redis_is_one_clear_sentence() {
    let output = bench(&["run", "--without-gateway"]).env("PATH", "/nowhere").output().unwrap();
    check_fails(&output, "redis-server is not installed");
}

#[test]
fn too_few_descriptors_are_one_clear_sentence() {
    let line = format!("ulimit -n 1000 && exec {PROGRAM} run --without-gateway --only a");
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    check_fails(&output, "1000 connections need 1300 open files per process");
}

#[test]
fn an_unknown_scenario_names_those_there_are() {
    let output = bench(&["run", "--without-gateway", "--only", "a,zz"]).output().unwrap();
    check_fails(&output, "there is no scenario \"zz\"; there are a, b1, b2, e, f");
}

#[test]
fn an_unknown_peer_names_those_there_are() {
    let output = bench(&["run", "--without-gateway", "--peers", "apache"]).output().unwrap();
    check_fails(&output, "there is no peer \"apache\"; there are all, axum, ws, socket.io");
}

#[test]
fn a_peer_that_is_missing_is_left_out_with_its_reason_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("peers.json");
    let output = bench(&["run", "--without-gateway", "--quick", "--only", "b1", "--window", "1"])
        .args(["--peers", "axum,nats", "--peers-folder", "/no/such/folder", "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    let sentence = "nats was left out: it is not installed: \
                    /no/such/folder/nats/usr/sbin/nats-server is missing";
    assert!(stderr.contains(sentence) && stdout.contains(sentence), "{stdout}{stderr}");

    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(json["conditions"]["left_out"].as_array().map(Vec::len), Some(1), "{json}");
    let runs = &json["scenarios"][0]["runs"];
    assert!(runs["nats"].is_null(), "{json}");
    assert!(runs["axum"][0]["deliveries_per_second"].as_f64() > Some(0.0), "{json}");
}

#[test]
fn a_short_run_prints_the_table_and_writes_json() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("bench.json");
    let peer = format!("twin={PROGRAM} floor --redis {{redis}} --channel {{channel}}");
    let output = bench(&["run", "--without-gateway", "--quick", "--only", "b1", "--window", "1"])
        .args(["--peer", &peer, "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("Ratios to the floor") && stdout.contains("twin"), "{stdout}");
    check_json(&json);
}

fn check_json(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    for system in ["floor", "twin"] {
        let run = &json["scenarios"][0]["runs"][system][0];
        assert!(run["cpu_us_per_delivery"].as_f64().unwrap() > 0.0, "{run}");
        assert_eq!((&run["lost"], &run["duplicated"]), (&0.into(), &0.into()), "{run}");
    }
    assert!(json["comparisons"][0]["ratio"].as_f64().unwrap() > 0.0, "{json}");
}

#[test]
fn ctrl_c_stops_the_children_too() {
    let mut child = bench(&["run", "--without-gateway", "--only", "a", "--window", "60"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("(a) round 1 of 5: floor"), "{line}");
    // Redis and the floor.
    let children = await_children(child.id(), 2);
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    for pid in children {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "child {pid} still runs");
    }
}

fn await_children(pid: u32, count: usize) -> Vec<u32> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let children: Vec<u32> = list.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        if children.len() >= count {
            return children;
        }
        assert!(Instant::now() < end, "only {children:?} after 20 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}
