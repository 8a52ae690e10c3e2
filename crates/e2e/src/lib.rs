//! The proof: real servers and whole gateways, started by a test on free ports
//! and stopped by their pid.
//!
//! This room stands outside. It is linked into tests and benchmarks only, so it
//! may panic: a harness that can't do its work is a failed test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test harness fails by panicking, and its tasks end with the test"
)]

mod bystander;
mod canary;
pub mod chaos;
pub mod checker;
mod client;
mod client_frame;
mod cluster_set;
mod config_file;
mod deflate;
mod fault_proxy;
pub mod fleet;
mod frames;
mod gateway;
mod http;
mod inflate;
mod kernel;
pub mod limits;
mod listener;
mod metrics;
mod namespace;
mod patience;
mod pseudo_terminal;
mod raw_client;
mod redis_server;
mod sentinel_set;
mod siege;
mod sse_client;
mod tls_redis;
mod turn;
mod vitals;

pub use bystander::{Bystander, Witness};
pub use canary::canary;
pub use client::{Client, Incoming};
pub use client_frame::ClientFrame;
pub use cluster_set::ClusterSet;
pub use config_file::config_file;
pub use deflate::{bomb, deflated};
pub use fault_proxy::{Door, Fault, FaultProxy, Way};
pub use frames::{Frame, FrameReader, Opcode};
pub use gateway::{Gateway, GatewayOptions, redcast, redcast_producer, run, run_unprivileged};
pub use http::{Response, get, post, post_with, request};
pub use inflate::inflated;
pub use kernel::{established, raise_descriptor_limit, unacknowledged};
pub use listener::Listener;
pub use metrics::Metrics;
pub use namespace::Namespace;
pub use patience::{unix_ms, within};
pub use pseudo_terminal::PseudoTerminal;
pub use raw_client::{Dial, Message, RawClient};
pub use redis_server::{RedisServer, free_port};
pub use sentinel_set::{SentinelOptions, SentinelSet};
pub use siege::Siege;
pub use sse_client::{SseBlock, SseClient};
pub use tls_redis::{Certificates, TlsRedis, toml_path};
pub use turn::turn;
pub use vitals::Vitals;
