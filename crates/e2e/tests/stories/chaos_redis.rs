//! Redis dies, hangs, turns on its subscribers or takes their rights, under load: streams
//! are whole, and pub/sub tells what is missing.

use redcast_e2e::{chaos, turn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_killed_and_back_after_three_seconds() {
    let _turn = turn().await;
    chaos::story("kill-3s").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_frozen_for_ten_seconds() {
    let _turn = turn().await;
    chaos::story("freeze").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_are_killed_for_reading_too_slowly() {
    let _turn = turn().await;
    chaos::story("overflow").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_are_killed_again_and_again() {
    let _turn = turn().await;
    chaos::story("client-kill").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_is_taken_and_given_back() {
    let _turn = turn().await;
    chaos::story("acl").await;
}
