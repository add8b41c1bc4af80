//! A source file taken apart into code and comments, so that rules about code do not stumble over
//! words in strings and comments.

const TEST_MARKER: &str = "#[cfg(test)]";

/// A file; `code` and `comments` have its length and its lines, and blanks for all the rest.
pub struct Source {
    pub path: String,
    pub text: String,
    pub code: String,
    pub comments: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        Self { path: path.to_owned(), text: text.to_owned(), code, comments }
    }

    /// The code that ships: up to the trailing test module; nothing of a file of tests.
    pub fn shipped(&self) -> &str {
        if self.is_test() {
            return "";
        }
        let mut starts = self.code.match_indices(TEST_MARKER).map(|(start, _)| start);
        let inline = starts.find(|start| {
            let declared = self.code[start + TEST_MARKER.len()..].trim_start();
            let line = declared.lines().next().unwrap_or_default();
            line.ends_with('{') && line.split(' ').any(|word| word == "mod")
        });
        inline.map_or(self.code.as_str(), |start| &self.code[..start])
    }

    /// Whether the whole file is tests or benches.
    pub fn is_test(&self) -> bool {
        let in_house = self.path.starts_with("src/") || self.path == "build.rs";
        !in_house || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// The line of byte `position`, counted from 1.
    pub fn line(&self, position: usize) -> usize {
        1 + self.text.as_bytes()[..position].iter().filter(|byte| **byte == b'\n').count()
    }
}

/// What the scanner is inside of.
enum Inside {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text { hashes: Option<usize> },
}

/// `text` with everything but code blanked, and with everything but comments blanked.
fn split(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut code, mut comments) = (bytes.to_vec(), bytes.to_vec());
    let mut inside = Inside::Code;
    let mut at = 0;
    while at < bytes.len() {
        let (next, width) = step(&inside, &bytes[at..], at.checked_sub(1).map(|i| bytes[i]));
        let opened = !matches!(next, Inside::Code);
        let was_code = matches!(inside, Inside::Code) && !opened;
        let is_comment =
            |inside: &Inside| matches!(inside, Inside::LineComment | Inside::BlockComment { .. });
        let commented = is_comment(&inside) || is_comment(&next);
        for i in at..(at + width).min(bytes.len()) {
            if bytes[i] != b'\n' {
                code[i] = if was_code { code[i] } else { b' ' };
                comments[i] = if commented { comments[i] } else { b' ' };
            }
        }
        inside = next;
        at += width;
    }
    let ascii = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (ascii(code), ascii(comments))
}

/// What the scanner is inside of after the token at the start of `rest`, and the token's width.
fn step(inside: &Inside, rest: &[u8], before: Option<u8>) -> (Inside, usize) {
    match *inside {
        Inside::Code => step_code(rest, before),
        Inside::LineComment if rest[0] == b'\n' => (Inside::Code, 1),
        Inside::LineComment => (Inside::LineComment, 1),
        Inside::BlockComment { depth } if rest.starts_with(b"/*") => {
            (Inside::BlockComment { depth: depth + 1 }, 2)
        }
        Inside::BlockComment { depth: 1 } if rest.starts_with(b"*/") => (Inside::Code, 2),
        Inside::BlockComment { depth } if rest.starts_with(b"*/") => {
            (Inside::BlockComment { depth: depth - 1 }, 2)
        }
        Inside::BlockComment { depth } => (Inside::BlockComment { depth }, 1),
        Inside::Text { hashes: None } if rest[0] == b'\\' => (Inside::Text { hashes: None }, 2),
        Inside::Text { hashes } if rest[0] == b'"' => {
            let wanted = hashes.unwrap_or(0);
            let found = rest[1..].iter().take(wanted).take_while(|byte| **byte == b'#').count();
            let ended = found == wanted;
            (if ended { Inside::Code } else { Inside::Text { hashes } }, 1 + found)
        }
        Inside::Text { hashes } => (Inside::Text { hashes }, 1),
    }
}

fn step_code(rest: &[u8], before: Option<u8>) -> (Inside, usize) {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match rest {
        [b'/', b'/', ..] => (Inside::LineComment, 2),
        [b'/', b'*', ..] => (Inside::BlockComment { depth: 1 }, 2),
        [b'"', ..] => (Inside::Text { hashes: None }, 1),
        [b'r', ..] if !in_word || before == Some(b'b') => match raw_opening(rest) {
            Some(hashes) => (Inside::Text { hashes: Some(hashes) }, hashes + 2),
            None => (Inside::Code, 1),
        },
        // A character, which may be a quote or a brace; anything else with a tick is a lifetime.
        [b'\'', b'\\', _, ..] => {
            let end = rest.iter().skip(3).position(|byte| *byte == b'\'');
            (Inside::Code, end.map_or(1, |end| end + 4))
        }
        [b'\'', _, b'\'', ..] => (Inside::Code, 3),
        _ => (Inside::Code, 1),
    }
}

/// The number of hashes where `rest` opens a raw string.
fn raw_opening(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    (rest.get(1 + hashes) == Some(&b'"')).then_some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let (code, comments) = split(text);
        assert_eq!((code.len(), comments.len()), (text.len(), text.len()));
        code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn strings_and_comments_are_no_code() {
        assert_eq!(code("a // b {\nc"), "a c");
        assert_eq!(code("a /* b /* c */ d */ e"), "a e");
        assert_eq!(code(r#"a "b \" { c" d"#), "a d");
        assert_eq!(code("a r#\"b \" { c\"# d"), "a d");
        assert_eq!(code("fn f<'a>(x: &'a str)"), "fn f<'a>(x: &'a str)");
        assert_eq!(code("var\"x\" b"), "var b");
    }

    #[test]
    fn characters_do_not_open_strings() {
        assert_eq!(code("a('\"'); b"), "a('\"'); b");
        assert_eq!(code("a('\\''); \"x\" b"), "a('\\''); b");
    }

    #[test]
    fn comments_are_kept_apart() {
        let (_, comments) = split("let a = \"TODO\"; // note\n/* more */ b");
        assert_eq!(comments.split_whitespace().collect::<Vec<_>>().join(" "), "// note /* more */");
    }

    #[test]
    fn tests_do_not_ship() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests;\nfn b() {}\n#[cfg(test)]\npub mod more {\n}\n";
        let source = Source::new("src/a.rs", text);
        assert!(source.shipped().contains("fn b"));
        assert!(!source.shipped().contains("mod more"));
        assert_eq!(Source::new("src/a/tests.rs", text).shipped(), "");
        assert_eq!(Source::new("tests/a.rs", text).shipped(), "");
    }
}
