//! Streams lose entries on purpose or hold what nobody meant: clients are told, and go on.

use redcast_e2e::{chaos, turn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_trimmed_deleted_and_flushed() {
    let _turn = turn().await;
    chaos::story("taken").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_entries_stop_nobody() {
    let _turn = turn().await;
    chaos::story("poison").await;
}
