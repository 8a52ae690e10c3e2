//! The door: everything that speaks HTTP, and the sessions that come out of it.
//!
//! `listener.rs` accepts sockets and serves HTTP/1.1 on them; `router.rs` is the
//! table of contents; `admission.rs` decides who gets in; `upgrade.rs` turns a request
//! into a session; `session.rs` is a connection's life; `sse/` does both for event
//! streams over HTTP; `admin.rs` answers operators on a listener of its own.
//! This is the only room that knows HTTP.

#![forbid(unsafe_code)]

mod admin;
mod admission;
mod api;
mod api_docs;
mod channels;
mod client_io;
mod commands;
mod conditional;
mod config;
#[cfg(feature = "echo")]
mod echo;
mod error;
#[cfg(feature = "faults")]
mod faults;
mod forward_auth;
mod granted;
mod handshake;
mod inflater;
mod life;
mod listener;
mod metrics;
mod ndjson;
mod origin;
mod outgoing;
mod pace;
mod page;
mod place;
mod probe;
mod publish;
mod query;
mod router;
mod seldom;
mod session;
mod socket;
mod sse;
mod state;
mod upgrade;

pub use admin::admin_router;
pub use config::{ApiConfig, ApiKey, Collector, ConfigError, EdgeConfig, Endpoint, PageConfig};
pub use forward_auth::{FORWARD_AUTH_DESCRIPTORS, ForwardAuthConfig, ForwardAuthConfigError};
pub use listener::{LINGERING_DESCRIPTORS, ListenerConfig, SocketLimits, serve};
pub use metrics::EdgeMetrics;
pub use origin::AllowedOrigins;
pub use probe::{ProbeAnswer, ProbeError, probe};
pub use router::{Edge, Identity, public_router};
