//! Starts the log: to stderr, as text for people or JSON for machines.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Sends everything traced in this process to stderr.
///
/// `filter` holds directives such as `info,readstates=debug`; configuration has checked them, and
/// any that is wrong all the same is left out. Only the first call of a process counts; the later
/// ones return false.
pub fn start(format: LogFormat, filter: &str) -> bool {
    let terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .with_ansi(terminal && !colours_unwanted());
    let started = match writes_text(format, terminal) {
        true => builder.try_init(),
        false => builder.json().flatten_event(true).try_init(),
    };
    started.is_ok()
}

/// Whether the user asked every program for no colours, as no-color.org has it.
fn colours_unwanted() -> bool {
    env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn writes_text(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_writes_text_on_a_terminal_only() {
        assert!(writes_text(LogFormat::Auto, true));
        assert!(!writes_text(LogFormat::Auto, false));
        assert!(writes_text(LogFormat::Text, false));
        assert!(!writes_text(LogFormat::Json, true));
    }

    #[test]
    fn starting_twice_is_harmless() {
        start(LogFormat::Text, "off");
        assert!(!start(LogFormat::Json, "info"));
    }
}
