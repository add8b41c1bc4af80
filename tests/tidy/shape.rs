//! The shape of files: short lines, short functions, short files, a first line that says why.

use crate::{finding::Finding, source::Source};

const COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

/// `main.rs` is to be read aloud.
const MAIN_LINES_MAX: usize = 80;

/// Marks of unfinished work, and how many words make a reason.
const MARKS: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];
const REASON_WORDS: usize = 3;

/// Everything about `source` that is out of shape.
pub fn check(source: &Source) -> Vec<Finding> {
    let checks = [header, columns, file_length, function_lengths, marks, ignored, wildcards];
    checks.iter().flat_map(|check| check(source)).collect()
}

fn header(source: &Source) -> Vec<Finding> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![Finding::new(source, 1, "begin with `//!` and say why this file exists")]
}

fn columns(source: &Source) -> Vec<Finding> {
    let too_wide = |(_, line): &(usize, &str)| line.chars().count() > COLUMNS_MAX;
    let lines = source.text.lines().enumerate().filter(too_wide);
    let words = format!("over {COLUMNS_MAX} columns; run cargo fmt, or break the text by hand");
    lines.map(|(index, _)| Finding::new(source, index + 1, words.clone())).collect()
}

/// Tests may be as long as their cases are many.
fn file_length(source: &Source) -> Vec<Finding> {
    let lines = source.shipped().lines().count();
    let lines_max = if source.path == "src/main.rs" { MAIN_LINES_MAX } else { FILE_LINES_MAX };
    if lines <= lines_max {
        return Vec::new();
    }
    let words = format!(
        "{lines} lines without tests; move a noun to a file of its own, to be \
                         left with {lines_max}"
    );
    vec![Finding::new(source, lines, words)]
}

fn function_lengths(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (start, end, name) in functions(&source.code) {
        let first = source.line(start);
        let lines = source.line(end) - first + 1;
        if lines > FUNCTION_LINES_MAX {
            let words = format!(
                "fn {name} has {lines} lines; take steps out of it, to be left with \
                 {FUNCTION_LINES_MAX}"
            );
            findings.push(Finding::new(source, first, words));
        }
    }
    findings
}

/// Start, end and name of every function with a body.
fn functions(code: &str) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    for (start, keyword) in code.match_indices("fn ") {
        let part_of_a_word = code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &code[start + keyword.len()..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if part_of_a_word || name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(&code[start..]) {
            found.push((start, start + end, name));
        }
    }
    found
}

/// Where the body of the function at the start of `code` ends; `None` if it has none.
fn body_end(code: &str) -> Option<usize> {
    let (mut round, mut curly) = (0_usize, 0_usize);
    for (at, letter) in code.char_indices() {
        match letter {
            '(' | '[' => round += 1,
            ')' | ']' => round = round.saturating_sub(1),
            ';' if round == 0 && curly == 0 => return None,
            '{' => curly += 1,
            '}' if curly <= 1 => return (curly == 1).then_some(at),
            '}' => curly -= 1,
            _ => {}
        }
    }
    None
}

fn marks(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in source.comments.lines().enumerate() {
        let Some((mark, at)) = MARKS.iter().find_map(|mark| Some((mark, line.find(mark)?))) else {
            continue;
        };
        let reason = line[at + mark.len()..].strip_prefix(": ").unwrap_or_default();
        if reason.split_whitespace().count() < REASON_WORDS {
            let words = format!("{mark} without a reason; write `{mark}: what is left, and why`");
            findings.push(Finding::new(source, index + 1, words));
        }
    }
    findings
}

fn ignored(source: &Source) -> Vec<Finding> {
    let bare = source.code.match_indices("#[ignore]");
    let words = "a test ignored without a reason; write `#[ignore = \"why\"]`, or mend it";
    bare.map(|(position, _)| Finding::new(source, source.line(position), words)).collect()
}

fn wildcards(source: &Source) -> Vec<Finding> {
    let wild = source.shipped().match_indices("use super::*");
    let words = "a wildcard import outside tests; name what you need";
    wild.map(|(position, _)| Finding::new(source, source.line(position), words)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "//! Why.\n";

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let findings = check(&Source::new(path, text));
        findings.into_iter().map(|finding| (finding.line, finding.words)).collect()
    }

    #[track_caller]
    fn refused(text: &str, line: usize, words: &str) {
        let found = found("src/a.rs", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == line && found[0].1.contains(words), "{found:?}");
    }

    #[track_caller]
    fn allowed(text: &str) {
        assert_eq!(found("src/a.rs", text), []);
    }

    #[test]
    fn every_file_says_why_it_exists() {
        allowed(HEADER);
        refused("fn f() {}\n", 1, "say why");
    }

    #[test]
    fn lines_keep_to_their_columns() {
        allowed(&format!("{HEADER}//{}\n", "é".repeat(COLUMNS_MAX - 2)));
        refused(&format!("{HEADER}//{}\n", "x".repeat(COLUMNS_MAX - 1)), 2, "over 100 columns");
    }

    #[test]
    fn files_keep_to_their_lines_and_tests_do_not_count() {
        let full = format!("{HEADER}{}", "\n".repeat(FILE_LINES_MAX - 1));
        let tests = format!("#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(500));
        allowed(&format!("{full}{tests}"));
        refused(&format!("{full}\n{tests}"), FILE_LINES_MAX + 1, "401 lines without tests");
        let main = found("src/main.rs", &format!("{HEADER}{}", "\n".repeat(MAIN_LINES_MAX)));
        assert!(main[0].1.starts_with("81 lines"), "{main:?}");
    }

    #[test]
    fn functions_keep_to_their_lines() {
        let function =
            |lines: usize| format!("{HEADER}fn f(a: [u8; 2]) {{{}}}\n", "\n".repeat(lines - 1));
        allowed(&function(FUNCTION_LINES_MAX));
        refused(&function(FUNCTION_LINES_MAX + 1), 2, "fn f has 71 lines");
        allowed(&format!("{HEADER}trait T {{ fn f(); {} }}", "\n".repeat(100)));
        let braces = "\nlet a = \"}\"; // }".repeat(FUNCTION_LINES_MAX);
        refused(&format!("{HEADER}fn f() {{{braces}\n}}\n"), 2, "fn f has 72 lines");
    }

    #[test]
    fn unfinished_work_gives_a_reason() {
        allowed(&format!("{HEADER}// TODO: sort them once lists are long.\n"));
        allowed(&format!("{HEADER}const A: &str = \"TODO\";\n"));
        for bare in ["TODO", "TODO: later", "FIXME sort them some day", "XXX"] {
            refused(&format!("{HEADER}// {bare}\n"), 2, "without a reason");
        }
    }

    #[test]
    fn ignored_tests_give_a_reason() {
        allowed(&format!("{HEADER}#[ignore = \"needs a network\"]\nfn f() {{}}\n"));
        refused(&format!("{HEADER}#[ignore]\nfn f() {{}}\n"), 2, "ignored without a reason");
    }

    #[test]
    fn wildcards_stay_in_tests() {
        refused(&format!("{HEADER}use super::*;\n"), 2, "wildcard");
        allowed(&format!("{HEADER}#[cfg(test)]\nmod tests {{\n    use super::*;\n}}\n"));
    }
}
