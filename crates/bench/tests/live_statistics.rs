//! The commands of live statistics, as their users start them.

#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

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
