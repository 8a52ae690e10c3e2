//! The gateway's binary: flags, settings, logging, the app, the exit code.

#![forbid(unsafe_code)]

mod app;
mod cli;
mod demo;
mod layers;
mod settings;
mod shutdown;
mod telemetry;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

use crate::app::{App, BadConfig};
use crate::cli::{Cli, ServeFlags};

/// EX_CONFIG of sysexits.h.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let flags = Cli::parse().serve_flags();
    match serve(&flags) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("redcast: {error:#}");
            ExitCode::from(if error.is::<BadConfig>() { EXIT_CONFIG } else { 1 })
        }
    }
}

fn serve(flags: &ServeFlags) -> Result<u8> {
    let settings = layers::load(flags).map_err(BadConfig)?;
    telemetry::start_logging(&settings.log).map_err(BadConfig)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let code = runtime.block_on(async { App::build(settings, flags.demo)?.run().await });
    // Connections that outlived the drain are cut here.
    runtime.shutdown_background();
    code
}
