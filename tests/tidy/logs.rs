//! What the log may say: nothing about users above debug. Logs are read by many, and kept for long.

use crate::{finding::Finding, source::Source};

/// The events that are logged by default.
const EVENTS: [&str; 3] = ["info!(", "warn!(", "error!("];

/// Names of values that say who, or where.
const NAMES: [&str; 11] = [
    "user",
    "users",
    "user_id",
    "user_ids",
    "channel",
    "channels",
    "channel_id",
    "message",
    "message_id",
    "key",
    "keys",
];

/// What makes of such a name a number or another thing that may be told.
const HARMLESS: [&str; 3] = [".len()", ".count()", ".is_empty()"];

/// Every event above debug that names a user, a channel, a message or a key.
pub fn check(source: &Source) -> Vec<Finding> {
    let code = source.shipped();
    let mut findings = Vec::new();
    for event in EVENTS {
        for (position, _) in code.match_indices(event) {
            let start = position + event.len();
            let end = start + arguments_len(&code[start..]);
            let is_macro = !code[..position].ends_with(in_word);
            let name = named(&code[start..end], &source.text[start..end]);
            if let Some(name) = name.filter(|_| is_macro) {
                let words = format!("{name} is logged above debug; log it with debug!, or a count");
                findings.push(Finding::new(source, source.line(position), words));
            }
        }
    }
    findings
}

/// Up to the parenthesis that closes one which is open already.
fn arguments_len(code: &str) -> usize {
    let mut depth = 1;
    let end = code.bytes().position(|letter| {
        match letter {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    end.unwrap_or(code.len())
}

/// The first name that says too much: in the code, where what is in quotes is blank, or in braces
/// within quotes.
fn named(code: &str, text: &str) -> Option<&'static str> {
    let says = |name: &str| {
        code.match_indices(name).any(|(position, _)| {
            let rest = &code[position + name.len()..];
            let is_whole = !code[..position].ends_with(in_word) && !rest.starts_with(in_word);
            is_whole && !HARMLESS.iter().any(|harmless| rest.starts_with(harmless))
        })
    };
    let shows =
        |name: &str| text.contains(&format!("{{{name}}}")) || text.contains(&format!("{{{name}:"));
    NAMES.into_iter().find(|name| says(name) || shows(name))
}

fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(usize, String)> {
        let findings = check(&Source::new("src/a.rs", text));
        findings.into_iter().map(|finding| (finding.line, finding.words)).collect()
    }

    #[track_caller]
    fn refused(text: &str, name: &str) {
        let found = found(text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == 2 && found[0].1.starts_with(name), "{found:?}");
    }

    #[test]
    fn who_and_where_are_logged_below_info_only() {
        refused("\nwarn!(user = id, \"gone\");", "user is");
        refused("\ntracing::error!(%error, channel_id);", "channel_id is");
        refused("\ninfo!(\"loaded {key:?}\");", "key is");
        refused("\nwarn!(\n    ?key,\n    \"gone (again)\"\n);", "key is");
        refused("\ninfo!(a = f(user), \"gone\");", "user is");
        assert_eq!(found("debug!(user = id, \"gone\");"), []);
    }

    #[test]
    fn counts_and_words_are_no_names() {
        assert_eq!(found("warn!(rows = keys.len(), \"rows of a user, by key (all)\");"), []);
        assert_eq!(found("info!(key_bytes, monkey, \"{keyspace}\");"), []);
        assert_eq!(found("my_warn!(user);"), []);
        assert_eq!(found("#[cfg(test)]\nmod tests {\n    fn f() { info!(user); }\n}"), []);
    }
}
