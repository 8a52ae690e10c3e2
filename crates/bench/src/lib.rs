//! What a delivered message and an idle connection cost, measured.
//!
//! `redcast-bench run` starts a Redis, then for each scenario and round the
//! floor and the gateway in turn, opens the clients, publishes, and prints a
//! table. The server has one CPU to itself; the load generator (this process)
//! and Redis share another.
//!
//! - [`floor`]: the least work a server can do; everything is compared to it
//! - [`scenario`], [`setup`], [`content`]: what is measured, and the bars
//! - [`contender`], [`peers`], [`server`]: who is measured, and its process
//! - [`lineup`]: who is measured in what, and who is left out
//! - [`dialect`], [`feed`]: what a peer speaks with its clients and its publisher
//! - [`clients`], [`publisher`], [`load`]: the load generator
//! - [`measure`]: one scenario against one server
//! - [`crowd`]: 100,000 connections over six instances, by processes of their own
//! - [`rounds`]: memory over rounds of clients that come and go
//! - [`once`]: both of these, as scenarios that run once
//! - [`preflight`], [`limits`]: what may stand in the way, told before the start
//! - [`collect`]: page views over HTTP, as browsers report them, into the collector
//! - [`snapshot`], [`beats`]: heartbeats to many clients, beside the same without
//! - [`live`]: what these two commands share
//! - [`figure`], [`report`], [`notes`]: from measurements to the printed table and JSON
//! - [`plot`]: from that JSON to pictures and a page
//!
//! This room stands outside: it knows the gateway only by its public contract.

pub mod admin;
pub mod beats;
pub mod checker;
pub mod clients;
pub mod collect;
pub mod compare;
pub mod contender;
pub mod content;
pub mod crowd;
pub mod dialect;
pub mod feed;
pub mod figure;
pub mod floor;
pub mod frame;
pub mod histogram;
pub mod inflate;
pub mod limits;
pub mod lineup;
pub mod live;
pub mod load;
pub mod machine;
pub mod measure;
pub mod notes;
pub mod once;
pub mod payload;
pub mod peers;
pub mod plot;
pub mod preflight;
pub mod process;
pub mod progress;
pub mod publisher;
pub mod report;
pub mod report_file;
pub mod resp;
pub mod rounds;
pub mod run;
pub mod scenario;
pub mod server;
pub mod setup;
pub mod silent;
pub mod snapshot;
pub mod table;
