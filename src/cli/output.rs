//! Writing to stdout and stderr without the panics of `println!` when nobody listens.

use std::io::{self, Write as _};

use serde_json::Value;

use super::failure::Failure;

/// Prints `text` and a line end on stdout.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()?;
    Ok(())
}

/// Prints one JSON value on a line of stdout.
pub fn say_json(value: &Value) -> Result<(), Failure> {
    say(&value.to_string())
}

/// Prints `text` on stderr. If that is closed there is nobody left to tell.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
