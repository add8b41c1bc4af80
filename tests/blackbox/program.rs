//! The built program as a command, and what it says once it runs.

use std::{
    env,
    io::{BufRead as _, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::Sender,
    thread,
};

/// The program with these arguments, unmoved by the environment of the tests.
pub fn program(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_readstates"));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let is_ours = text.starts_with("READSTATES_") || text.starts_with("OTEL_");
        if is_ours || name == "NOTIFY_SOCKET" {
            command.env_remove(name);
        }
    }
    // Segments are written as a whole ahead of their use: many servers would write many.
    command.env("READSTATES_JOURNAL_SEGMENT_SIZE", "1MiB");
    command.current_dir(directory).stdin(Stdio::null());
    command
}

/// Sends on every line of `pipe` until it ends.
pub fn forward(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // Read on where nobody listens any more: a full pipe would stop the program.
            lines.send(line).ok();
        }
    });
}

/// The address after `label` in a line of the log, JSON or text.
pub fn address(line: &str, label: &str) -> Option<String> {
    let (_, rest) = line.split_once(label)?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit() && !".:[]".contains(c));
    let address = &rest[..end.unwrap_or(rest.len())];
    (!address.is_empty()).then(|| address.to_owned())
}
