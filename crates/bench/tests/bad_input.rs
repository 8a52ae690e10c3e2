//! Conditions under which nothing can be measured: each is told in one sentence.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use support::{PROGRAM, Running, bench, check_fails, script};

#[allow(dead_code, reason = "each file of tests uses some of it")]
mod support;

#[test]
fn a_missing_gateway() {
    let output = bench(&["run", "--gateway", "no/such/file"]).output().unwrap();
    check_fails(&output, "there is no gateway at no/such/file: build it");
}

#[test]
fn a_gateway_that_ends_at_once() {
    let output = bench(&["run", "--only", "a", "--gateway", "/bin/false"]).output().unwrap();
    check_fails(&output, "the gateway ended before it was ready (exit status: 1)");
}

#[test]
fn a_gateway_whose_port_was_taken_meanwhile_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let starts = folder.path().join("starts");
    let line = format!("echo >> {}; echo 'Address already in use' >&2; exit 1", starts.display());
    let gateway = script(folder.path(), "gateway", &line);
    let output =
        bench(&["run", "--only", "h", "--quick", "--gateway"]).arg(gateway).output().unwrap();
    check_fails(&output, "the gateway ended before it was ready (exit status: 1): Address already");
    assert_eq!(std::fs::read_to_string(starts).unwrap(), "\n".repeat(5));
}

#[test]
fn a_gateway_that_never_gets_ready_and_what_it_said() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = script(folder.path(), "gateway", "echo 'still thinking' >&2; exec sleep 100");
    let output = bench(&["run", "--only", "h", "--quick", "--ready-within", "5", "--gateway"])
        .arg(gateway)
        .output()
        .unwrap();
    check_fails(&output, "the gateway was not ready after 5s: still thinking");
}

#[test]
fn a_gateway_that_refuses_connections() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("admin");
    let line = format!("echo $REDCAST_ADMIN__LISTEN > {}; exec sleep 100", told.display());
    let gateway = script(folder.path(), "gateway", &line);
    // Its admin listener, which says that it is ready.
    let admin = answer_once(told);
    let output = bench(&["run", "--only", "a", "--gateway"]).arg(gateway).output().unwrap();
    check_fails(&output, "the gateway can't be reached: can't connect to ws://127.0.0.1:");
    admin.join().unwrap();
}

/// Answers one request with 200 at the address that the file `told` will name.
fn answer_once(told: PathBuf) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let end = Instant::now() + Duration::from_secs(60);
        let address = loop {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            if let Some(address) = text.strip_suffix('\n') {
                break address.to_owned();
            }
            assert!(Instant::now() < end, "the gateway was not started");
            std::thread::sleep(Duration::from_millis(10));
        };
        let (mut client, _) = TcpListener::bind(address).unwrap().accept().unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        // To the end, or a reset could overtake the answer.
        client.read_to_end(&mut Vec::new()).unwrap();
    })
}

#[test]
fn a_server_that_dies_while_events_are_published() {
    let arguments = ["run", "--without-gateway", "--only", "a", "--window", "600"];
    let mut run = Running::start(&mut bench(&arguments));
    run.until_it_says("(a) round 1 of 5: floor");
    run.until_it_publishes();
    run.kill_child("floor");
    run.check_fails("the floor ended in the middle of the run (signal: 9 (SIGKILL)): no message");
}

#[test]
fn a_redis_that_dies_while_events_are_published() {
    let arguments = ["run", "--without-gateway", "--only", "a", "--window", "600"];
    let mut run = Running::start(&mut bench(&arguments));
    run.until_it_says("(a) round 1 of 5: floor");
    run.until_it_publishes();
    run.kill_child("redis-server");
    run.check_fails("Redis ended in the middle of the run");
}

#[test]
fn what_was_measured_before_an_error_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (starts, json) = (folder.path().join("starts"), folder.path().join("bench.json"));
    // Once to be tried out and once for (a).
    let starts = starts.display();
    let lines = format!(
        "echo >> {starts}\n[ $(wc -l < {starts}) -le 2 ] || exit 1\n\
         exec {PROGRAM} floor --redis $1 --channel $2"
    );
    let peer = script(folder.path(), "peer", &lines);
    let peer = format!("fragile={} {{redis}} {{channel}}", peer.display());
    let output = bench(&["run", "--without-gateway", "--quick", "--only", "a,g1", "--window", "1"])
        .args(["--peer", &peer, "--json"])
        .arg(&json)
        .output()
        .unwrap();
    check_fails(&output, "(g1), fragile: ");
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(json["scenarios"].as_array().map(Vec::len), Some(1), "{json}");
    assert!(json["scenarios"][0]["runs"]["fragile"][0].is_object(), "{json}");
    let conditions = &json["conditions"];
    assert!(conditions["ended_early"].as_str().unwrap().starts_with("(g1), fragile"), "{json}");
    let expected = "--quick --window 1 --only a,g1 --without-gateway --peer fragile=...";
    assert_eq!(conditions["options"], expected);
}

#[test]
fn a_missing_redis() {
    let output = bench(&["run", "--without-gateway"]).env("PATH", "/nowhere").output().unwrap();
    check_fails(&output, "redis-server is not installed: apt-get install redis-server");
}

#[test]
fn a_redis_that_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let check = |lines, expected| {
        script(folder.path(), "redis-server", lines);
        let mut command = bench(&["run", "--without-gateway", "--only", "a"]);
        check_fails(&command.env("PATH", folder.path()).output().unwrap(), expected);
    };
    check("exit 3", "redis-server does not work: exit status: 3");
    check(
        "[ \"$1\" = --version ] || exit 4",
        "redis-server did not start on any of ten free ports (exit status: 4)",
    );
}

#[track_caller]
fn check_descriptors(limit: &str, arguments: &str, expected: &str) {
    let line = format!("{limit} && exec {PROGRAM} run {arguments}");
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    check_fails(&output, expected);
}

#[test]
fn too_few_descriptors() {
    check_descriptors(
        "ulimit -n 1000",
        "--without-gateway --only a",
        "(a): 1000 connections need 1300 open files per process, but the hard limit is 1000",
    );
    // Each of six processes has a sixth.
    check_descriptors(
        "ulimit -n 1000",
        "--gateway /bin/false --quick --only h",
        "(h): 1000 connections need 1300 open files per process, but the hard limit is 1000",
    );
}

#[test]
fn a_soft_limit_that_is_too_low_is_raised() {
    let line = format!(
        "ulimit -Sn 100 && exec {PROGRAM} run --without-gateway --quick --only b1 --window 1"
    );
    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_unknown_scenario_names_those_there_are() {
    let output = bench(&["run", "--without-gateway", "--only", "a,zz"]).output().unwrap();
    check_fails(&output, ", rounds, h");
    check_fails(&output, "there is no scenario \"zz\"; there are a, b1, b2, c, d, e, e19, f, ");
}

#[test]
fn a_pair_without_the_gateway_is_one_clear_sentence() {
    let output = bench(&["run", "--without-gateway", "--only", "deflate"]).output().unwrap();
    let expected =
        "(deflate) compares the gateway with itself: it can't be run with --without-gateway";
    check_fails(&output, expected);
    // Nor is it dropped silently beside another.
    let output = bench(&["run", "--without-gateway", "--only", "a,deflate"]).output().unwrap();
    check_fails(&output, expected);
}

#[test]
fn a_scenario_of_the_gateway_without_the_gateway() {
    let output = bench(&["run", "--without-gateway", "--only", "h"]).output().unwrap();
    check_fails(&output, "(h) is about the gateway: it can't be run with --without-gateway");
}

#[test]
fn a_place_for_the_figures_that_cannot_be_written_is_told_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none/bench.json"), folder.path().to_owned()] {
        let mut command = bench(&["run", "--without-gateway", "--only", "a", "--json"]);
        let output = command.arg(&path).output().unwrap();
        check_fails(&output, &format!("can't write {}: ", path.display()));
        // One line: no progress before it.
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
    }
}
