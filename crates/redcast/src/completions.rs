//! `redcast completions`: what a shell needs to complete commands and flags.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::terminal::print;

/// Flags of `completions`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Where it goes:\n  \
    bash        redcast completions bash > ~/.local/share/bash-completion/completions/redcast\n  \
    zsh         redcast completions zsh > ~/.zfunc/_redcast\n              \
    (with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc)\n  \
    fish        redcast completions fish > ~/.config/fish/completions/redcast.fish\n  \
    elvish      redcast completions elvish >> ~/.config/elvish/rc.elv\n  \
    powershell  redcast completions powershell >> $PROFILE")]
pub(crate) struct CompletionsFlags {
    /// The shell
    shell: Shell,
}

/// Prints the script; answers the exit code.
pub(crate) fn completions(flags: &CompletionsFlags) -> Result<u8> {
    // Into memory first: the library panics when its writer fails.
    let mut script = Vec::new();
    generate(flags.shell, &mut <Cli as CommandFactory>::command(), "redcast", &mut script);
    print(script)?;
    Ok(0)
}
