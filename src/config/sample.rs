//! The sample file: every setting with what it does, at its default.

use std::fmt::Write as _;

use super::{Setting, settings};

/// Columns of a comment.
const WIDTH: usize = 90;

/// A TOML file that spells out every default.
pub fn sample() -> String {
    let mut text = String::from("# Settings of readstates. Flags and variables go before them.\n");
    for setting in settings() {
        text.push('\n');
        push_comment(&mut text, setting.help());
        push_default(&mut text, setting);
    }
    text
}

fn push_comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

fn push_default(text: &mut String, setting: &Setting) {
    let Setting { key, default, .. } = setting;
    let is_bare = default.parse::<u64>().is_ok() || default.parse::<bool>().is_ok();
    let written = match is_bare {
        true => writeln!(text, "{key} = {default}"),
        false => writeln!(text, "{key} = {default:?}"),
    };
    written.expect("a String takes everything");
}
