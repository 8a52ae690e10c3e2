//! The commands of live statistics, as their users start them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail by panicking")]

use std::process::Command;
use std::sync::{Mutex, PoisonError};

use redcast_e2e::{redcast, redcast_producer};
use serde_json::Value;
use support::{bench, check_fails, script};

#[allow(dead_code, reason = "each file of tests uses some of it")]
mod support;

#[test]
fn a_producer_that_is_not_built_is_one_clear_sentence() {
    let output = bench(&["collect", "--producer", "/no/such/file"]).output().unwrap();
    check_fails(&output, "there is no producer at /no/such/file: build it");
}

#[test]
fn a_gateway_that_is_not_built_is_one_clear_sentence() {
    let output = bench(&["snapshot", "--gateway", "/no/such/file"]).output().unwrap();
    check_fails(&output, "there is no gateway at /no/such/file: build it");
}

#[test]
fn a_collector_that_ends_is_named_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let broken = script(folder.path(), "producer", "echo 'no Redis for me' >&2; exit 78");
    let output = bench(&["collect", "--quick", "--producer"]).arg(broken).output().unwrap();
    check_fails(&output, "the collector ended before it was ready");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no Redis for me"));
}

/// Only one of them at a time has the two processors.
static ALONE: Mutex<()> = Mutex::new(());

/// A machine that others use meanwhile may be too slow at one time and not at three.
const ATTEMPTS: usize = 3;

/// Runs a quick measurement until its deadlines, three times the bars, are kept; the
/// figures of every attempt must pass `counts`.
#[track_caller]
fn check(name: &str, option: &str, binary: &Command, counts: impl Fn(&Value)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quick.json");
    let mut said = Vec::new();
    for _ in 0..ATTEMPTS {
        let mut command = bench(&[name, "--quick", option]);
        let output = command.arg(binary.get_program()).arg("--json").arg(&path).output().unwrap();
        let text = std::fs::read(&path).unwrap_or_default();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let json: Value = serde_json::from_slice(&text).unwrap_or_else(|_| panic!("{stderr}"));
        counts(&json["scenarios"][0]["runs"]);
        if output.status.success() {
            return;
        }
        said.push(stderr);
    }
    panic!("{said:#?}");
}

#[test]
fn page_views_are_accepted_counted_and_published_once_and_in_time() {
    check("collect", "--producer", redcast_producer().as_std(), |runs| {
        let run = &runs["collector"][0];
        assert_eq!(run["accepted_per_second"], 500.0, "{run}");
        for figure in ["refused", "lost", "duplicated", "miscounted"] {
            assert_eq!(run[figure], 0, "{figure} of {run}");
        }
    });
}

#[test]
fn every_client_gets_every_beat_once_and_they_cost_little() {
    check("snapshot", "--gateway", redcast().as_std(), |runs| {
        let run = &runs["with"][0];
        assert_eq!(run["beats"], 3, "{run}");
        for figure in ["lost", "duplicated", "reordered"] {
            assert_eq!(run[figure], 0, "{figure} of {run}");
        }
        assert!(runs["without"][0]["lost"].is_null(), "{runs}");
    });
}
