//! `redcast-bench`: what a delivered message and an idle connection cost.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use redcast_bench::crowd::load;
use redcast_bench::machine::check_interrupt;
use redcast_bench::{collect, floor, plot, run, snapshot};

/// Measures what a delivered message and an idle connection cost.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the gateway against the floor and print a table
    Run(run::Options),
    /// Measure how many page views a second the collector accepts on one core
    Collect(collect::Options),
    /// Measure what a snapshot's heartbeat to many clients costs the gateway
    Snapshot(snapshot::Options),
    /// Draw what `--json` wrote: SVG files, and a page with the tables
    Plot(plot::Options),
    /// Serve as the floor: one thread, one send() per client per batch
    Floor {
        /// Redis
        #[arg(long, value_name = "HOST:PORT")]
        redis: String,
        /// The channel to serve
        #[arg(long)]
        channel: String,
    },
    /// Be the clients of one instance of a crowd; started by run
    #[command(hide = true)]
    CrowdLoad {
        /// Where they connect
        #[arg(long)]
        url: String,
        /// How many they are
        #[arg(long)]
        clients: usize,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Collect(options) => collect::run(&options),
        Command::Snapshot(options) => snapshot::run(&options),
        Command::Plot(options) => plot::run(&options),
        Command::Floor { redis, channel } => floor::run(&redis, &channel),
        Command::CrowdLoad { url, clients } => load::run(&url, clients),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whatever ended the run: a signal may have reached others first.
        Err(_) if check_interrupt().is_err() => ExitCode::from(130),
        Err(error) => {
            eprintln!("redcast-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
