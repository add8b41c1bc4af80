//! How settings are spelled in a TOML file: comments, keys and values.

use toml::Value;

/// Columns of a comment.
const WIDTH: usize = 90;

/// A value as the file has it: what is a number, true or false stands bare, all else in quotes.
pub fn value(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<bool>()) {
        // Bare only as TOML itself would write it: it takes no 007.
        (Ok(number), _) if number.to_string() == text => Value::Integer(number),
        (_, Ok(yes)) => Value::Boolean(yes),
        _ => Value::String(text.to_owned()),
    }
}

/// The line that gives the setting `key` this value.
pub fn assignment(key: &str, text: &str) -> String {
    format!("{key} = {}", value(text))
}

/// `words` as lines of a comment, each with its end.
pub fn comment(words: &str) -> String {
    let (mut text, mut line) = (String::new(), String::from("#"));
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
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_switches_stand_bare_and_all_else_in_quotes() {
        for bare in ["0", "10000", "-5", "true", "false"] {
            assert_eq!(assignment("key", bare), format!("key = {bare}"));
        }
        for quoted in ["", "auto", "30s", "1.5GiB", "007", "+5", "99999999999999999999"] {
            assert_eq!(assignment("key", quoted), format!("key = \"{quoted}\""));
        }
    }

    #[test]
    fn whatever_is_in_a_value_comes_back() {
        for text in ["C:\\data", "a \"b\" 'c'", "line\nline", "\u{1}\u{7f}", "é # no comment", "'"]
        {
            let table: toml::Table = assignment("key", text).parse().expect("it is TOML");
            assert_eq!(table["key"].as_str(), Some(text));
        }
    }

    #[test]
    fn comments_are_broken_between_words() {
        let text = comment(&"word ".repeat(40));
        assert!(text.lines().all(|line| line.starts_with("# word") && line.len() <= WIDTH));
        assert_eq!(text.matches("word").count(), 40);
        assert!(text.ends_with('\n'));
    }
}
