//! What a delivered message and an idle connection cost, measured.
//!
//! `redcast-bench run` starts a Redis, then for each scenario and round the
//! floor and the gateway in turn, opens the clients, publishes, and prints a
//! table. The server has one CPU to itself; the load generator (this process)
//! and Redis share another.
//!
//! - [`floor`]: the least work a server can do; everything is compared to it
//! - [`scenario`]: the table of what is measured, and the bars
//! - [`contender`], [`peers`], [`server`]: who is measured, and its process
//! - [`dialect`], [`feed`]: what a peer speaks with its clients and its publisher
//! - [`clients`], [`publisher`], [`load`]: the load generator
//! - [`measure`]: one scenario against one server
//! - [`figure`], [`report`]: from measurements to the printed table and JSON
//!
//! This room stands outside: it knows the gateway only by its public contract.

pub mod checker;
pub mod clients;
pub mod contender;
pub mod dialect;
pub mod feed;
pub mod figure;
pub mod floor;
pub mod frame;
pub mod histogram;
pub mod load;
pub mod machine;
pub mod measure;
pub mod payload;
pub mod peers;
pub mod process;
pub mod progress;
pub mod publisher;
pub mod report;
pub mod run;
pub mod scenario;
pub mod server;
