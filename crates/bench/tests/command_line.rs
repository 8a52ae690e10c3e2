//! The program as its users start it: a whole short run, Ctrl-C.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::path::Path;

use support::{PROGRAM, Running, bench, check_fails, is_alive};

#[allow(dead_code, reason = "each file of tests uses some of it")]
mod support;

#[test]
fn a_plot_of_something_else_is_one_clear_sentence_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("plots");
    let output = bench(&["plot", "Cargo.toml", "--into"]).arg(&into).output().unwrap();
    check_fails(&output, "Cargo.toml is no benchmark's JSON: it is not JSON");
    assert!(!into.exists());
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
    let output = bench(&["run", "--without-gateway", "--quick", "--only", "a", "--window", "1"])
        .args(["--peers", "nats", "--peers-folder", "/no/such/folder", "--json"])
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
    assert!(runs["floor"][0]["deliveries_per_second"].as_f64() > Some(0.0), "{json}");
}

#[test]
fn a_short_run_prints_the_table_and_writes_json() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("bench.json");
    let peer = format!("twin={PROGRAM} floor --redis {{redis}} --channel {{channel}}");
    let output = bench(&["run", "--without-gateway", "--quick", "--only", "a", "--window", "1"])
        .args(["--peer", &peer, "--json"])
        .arg(&json)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("Ratios to the floor") && stdout.contains("twin"), "{stdout}");
    check_json(&json);
    let into = folder.path().join("plots");
    let output = bench(&["plot"]).arg(&json).arg("--into").arg(&into).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("memory.svg: left out, "), "{stderr}");
    let svg = std::fs::read_to_string(into.join("latency.svg")).unwrap();
    assert!(svg.contains("twin"), "{svg}");
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
    let arguments = ["run", "--without-gateway", "--only", "a", "--window", "60"];
    let mut run = Running::start(&mut bench(&arguments));
    run.until_it_says("(a) round 1 of 5: floor");
    // Redis and the floor.
    let children = run.children(2);
    run.press_ctrl_c();
    assert_eq!(run.end(), Some(130));
    for (pid, line) in children {
        assert!(!is_alive(pid), "still runs: {line}");
    }
}
