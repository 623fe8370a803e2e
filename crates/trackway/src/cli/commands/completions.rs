use clap::Args;
use clap_complete::Shell as Kind;

use crate::cli::{
    Shell, definition,
    failure::{Exit, Result},
};

/// Which shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway completions bash > ~/.local/share/bash-completion/completions/trackway
  trackway completions zsh > ~/.zfunc/_trackway
  trackway completions fish > ~/.config/fish/completions/trackway.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Kind,
}

pub(super) fn run(shell: &mut Shell, args: &CompletionsArgs) -> Result<Exit> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut definition(), "trackway", &mut text);
    shell.out.text(text)?;
    Ok(Exit::Ok)
}
