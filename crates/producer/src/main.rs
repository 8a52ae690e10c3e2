//! `redcast-producer`: page views for Redcast, from browsers, from logs or invented.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
