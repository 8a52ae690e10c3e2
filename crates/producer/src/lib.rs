//! A producer: somebody who publishes events and knows nothing of the gateway.
//!
//! It stands for the back-end services that Redcast serves, so it imports none of the
//! gateway's rooms. What visitors do comes from `collect` (an HTTP beacon), from `replay`
//! (an access log), or from `demo`, for which `traffic.rs` invents it; `page_view.rs` is
//! the event they cause; a [`Store`] counts and publishes it: `redis_store` in Redis,
//! `memory_store` in the same process. The binary is `main.rs` with `cli`.

#![forbid(unsafe_code)]

mod batch;
pub mod collect;
pub mod demo;
mod memory_store;
mod page_view;
mod redis_store;
mod refresh;
mod replay;
mod salts;
mod site;
mod store;
mod traffic;

pub use demo::DemoConfig;
pub use memory_store::{MemoryStore, MemoryStoreConfig, Outlet, OutletError};
pub use page_view::PageView;
pub use redis_store::{RedisStore, RedisStoreConfig, StoreTls};
pub use refresh::keep_fresh;
pub use replay::{
    Replay, ReplayConfig, ReplayError, ReplayInput, ReplayProgress, Replayed, Skipped, Speed,
    SpeedError, Summary, Told,
};
pub use salts::{Day, Salt};
pub use store::{Store, StoreError};
