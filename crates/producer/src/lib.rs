//! A producer: somebody who publishes events and knows nothing of the gateway.
//!
//! It stands for the back-end services that Redcast serves, so it imports none of
//! the gateway's rooms: where its events go is behind the trait [`Sink`], and the
//! binary joins the two. Flow: `traffic.rs` invents what visitors do →
//! `page_view.rs` is the event they cause → `demo.rs` publishes it when it is due.

#![forbid(unsafe_code)]

mod demo;
mod page_view;
mod sink;
mod site;
mod store;
mod traffic;

pub use demo::{DemoConfig, run};
pub use page_view::PageView;
pub use sink::{Sink, SinkError};
pub use store::{Store, StoreError};
