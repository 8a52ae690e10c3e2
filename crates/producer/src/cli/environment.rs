//! The variables, of which each flag has one. A misspelt one is an error, or it would be
//! missed only when it matters.

use std::ffi::OsStr;

use clap::{Arg, Command};

/// What every variable of ours begins with.
const PREFIX: &str = "REDCAST_PRODUCER_";

/// Refuses variables that no flag reads.
pub(super) fn check(command: &Command) -> Result<(), String> {
    let commands = command.get_subcommands().chain([command]);
    let known: Vec<_> =
        commands.flat_map(Command::get_arguments).filter_map(Arg::get_env).collect();
    let unknown = std::env::vars_os().map(|(name, _)| name).find(|name| {
        name.to_str().is_some_and(|name| name.starts_with(PREFIX) && !is_service_link(name))
            && !known.contains(&OsStr::new(name))
    });
    match unknown {
        None => Ok(()),
        Some(name) => Err(format!(
            "{}: no flag has such a variable; --help names those there are",
            name.to_string_lossy()
        )),
    }
}

/// Kubernetes sets these for a Service that is called redcast-producer.
fn is_service_link(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_")
}
