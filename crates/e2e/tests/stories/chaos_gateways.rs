//! Gateways die, end in good order, or have clients that never read: streams are whole.

use redcast_e2e::{chaos, turn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_a_thousand_clients_is_killed() {
    let _turn = turn().await;
    chaos::story("gateway-kill").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_a_thousand_clients_is_drained() {
    let _turn = turn().await;
    chaos::story("drain").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenth_of_the_clients_never_reads() {
    let _turn = turn().await;
    chaos::story("silent").await;
}
