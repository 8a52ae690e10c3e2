//! Sentinels replace the primary under load, and the new one refuses the first dials.

use redcast_e2e::{chaos, turn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_is_replaced() {
    let _turn = turn().await;
    chaos::story("sentinel").await;
}
