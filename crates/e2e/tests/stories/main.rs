//! The stories, one per file: what users of Redcast rely on, told with whole
//! gateways and a real Redis.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(clippy::disallowed_methods, reason = "a test's tasks end with the test")]

mod api_docs;
mod chaos_failover;
mod chaos_gateways;
mod chaos_redis;
mod chaos_streams;
mod cli;
mod cli_streams;
mod cli_subscribe;
mod coalesce;
mod coalesce_items;
mod config_commands;
mod deflate_frames;
mod deflate_hostile;
mod deflate_offers;
mod demo;
mod descriptors;
mod docs_links;
mod forward_auth;
mod gauge;
mod hostile_commands;
mod hostile_frames;
mod hostile_handshakes;
mod hostile_origins;
mod http;
mod interest;
mod interleaved_writes;
mod late_refusal;
mod limits;
mod logs;
mod make_run;
mod metrics_doc;
mod netns;
mod nodes;
mod order;
mod page;
mod panics;
mod protocol_doc;
mod publish_api;
mod raw_and_envelope;
mod readiness;
mod redis_limits;
mod redis_outage;
mod redis_tls;
mod redis_user;
mod resume;
mod resume_slow;
mod security_doc;
mod sentinel;
mod settings;
mod shutdown;
mod slow_consumers;
mod slowloris;
mod snapshots;
mod snapshots_forms;
mod snapshots_http;
mod snapshots_instances;
mod snapshots_outage;
mod sse;
mod terminal;
mod two_instances;
mod unread_answers;
mod vital_tasks;
