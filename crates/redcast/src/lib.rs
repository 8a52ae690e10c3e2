//! The keys: flags, settings, logging, the app, the exit code.
//!
//! A library only so that the configuration can be tried by tools of this
//! repository; `main.rs` is the one program in it.

#![forbid(unsafe_code)]

mod app;
mod banner;
mod check_config;
mod cli;
mod completions;
mod config_schema;
mod demo;
mod escape;
mod healthcheck;
mod layers;
mod lines;
mod panics;
mod print_config;
mod printer;
mod publish;
mod redis_flags;
mod settings;
mod shutdown;
mod subscribe;
mod telemetry;
mod terminal;
mod version;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use redcast_broker::install_tls_provider;

use crate::app::{App, BadConfig};
use crate::cli::{Cli, Command, ServeFlags};

/// EX_CONFIG of sysexits.h.
const EXIT_CONFIG: u8 = 78;

/// Runs the command line; the whole of the binary.
pub fn run() -> ExitCode {
    install_tls_provider();
    panics::tell_of_panics();
    report(match Cli::parse().command() {
        Command::Serve(flags) => serve(&flags),
        Command::CheckConfig(flags) => check_config::run(&flags),
        Command::PrintConfig(flags) => print_config::run(&flags),
        Command::ConfigSchema(flags) => config_schema::run(&flags),
        Command::Publish(flags) => to_its_end(publish::publish(&flags)),
        Command::Subscribe(flags) => to_its_end(subscribe::subscribe(&flags)),
        Command::Healthcheck(flags) => to_its_end(healthcheck::healthcheck(&flags)),
        Command::Completions(flags) => completions::completions(&flags),
    })
}

/// Whether `text` would do as a configuration file; the error is the sentence that
/// an operator would read.
pub fn check_config_text(text: &str) -> Result<(), String> {
    layers::check_text(text).map_err(|problems| problems.to_string())
}

fn report(done: Result<u8>) -> ExitCode {
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // A configuration may be wrong in several ways, one a line.
            for line in format!("{error:#}").lines() {
                terminal::say(line);
            }
            ExitCode::from(if error.is::<BadConfig>() { EXIT_CONFIG } else { 1 })
        }
    }
}

fn serve(flags: &ServeFlags) -> Result<u8> {
    let settings = layers::load(flags).map_err(BadConfig)?;
    telemetry::start_logging(&settings.log).map_err(BadConfig)?;
    to_its_end(async { App::build(settings, flags.clone())?.run().await })
}

fn to_its_end(work: impl Future<Output = Result<u8>>) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let code = runtime.block_on(work);
    // Connections that outlived the drain are cut here, and a read of a terminal is
    // not waited for.
    runtime.shutdown_background();
    code
}
