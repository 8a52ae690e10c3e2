//! A producer: somebody who publishes events and knows nothing of the gateway.
//!
//! It stands for the back-end services that Redcast serves, so it imports none of
//! the gateway's rooms: where its page views are counted and published is behind the
//! trait [`Store`], and a binary joins the two. Flow: `traffic.rs` invents what visitors
//! do and `demo.rs` records it when it is due; `replay` takes page views from an access
//! log → `page_view.rs` is the event that each one causes.

#![forbid(unsafe_code)]

pub mod demo;
mod page_view;
mod replay;
mod sink;
mod site;
mod store;
mod traffic;

pub use demo::DemoConfig;
pub use page_view::PageView;
pub use replay::{
    Replay, ReplayConfig, ReplayError, ReplayInput, ReplayProgress, Replayed, Skipped, Speed,
    SpeedError, Summary, Told,
};
pub use sink::{Sink, SinkError};
pub use store::{Store, StoreError};
