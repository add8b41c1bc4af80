//! `completions`: a script that teaches a shell this program's flags.

use clap::{Args, Command};
use clap_complete::Shell;

use super::{Exit, failure::Failure, output::say};

/// Flags of `completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell to write for
    shell: Shell,
}

/// Prints the script for the whole command line `root`.
pub fn completions(args: CompletionsArgs, root: Command) -> Result<Exit, Failure> {
    say(script(args.shell, root).trim_end())?;
    Ok(Exit::Done)
}

fn script(shell: Shell, mut root: Command) -> String {
    let name = root.get_name().to_owned();
    // Into memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut root, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::Subcommand as _;

    use super::{super::ClientCommand, *};

    #[test]
    fn every_shell_learns_every_subcommand() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let root = ClientCommand::augment_subcommands(Command::new("readstates"));
            let names: Vec<_> =
                root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
            let script = script(shell, root);
            for name in names {
                assert!(script.contains(&name), "{shell} lacks {name}");
            }
        }
    }
}
