//! Both brokers, held to one contract, and the Redis broker against real servers: one
//! concern per file. One program, as each more would cost every build some seconds.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

/// Has each clause of a contract held by both brokers, which the file that names them knows
/// how to start.
macro_rules! contract {
    ($($clause:ident)*) => {
        mod memory_broker {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                let (rig, _keep) = super::memory().await;
                super::$clause(rig).await;
            })*
        }
        mod redis_broker {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                let (rig, _keep) = super::redis_server().await;
                super::$clause(rig).await;
            })*
        }
    };
}

mod contract;
mod redis_batches;
mod redis_cluster;
mod redis_nodes;
mod redis_once;
mod redis_outage;
mod redis_proof;
mod redis_sentinel;
mod redis_snapshots;
mod redis_stream_resets;
mod redis_streams;
mod redis_subscriptions;
mod redis_tls;
mod snapshot_contract;
mod stream_contract;
#[path = "../support/mod.rs"]
mod support;
