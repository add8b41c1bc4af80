//! The callers file: TOML with one `[[caller]]` each, every key known, everything wrong told at
//! once with its line. What stands where a digest should be is never told: it may be the token
//! itself.

use std::{
    collections::{HashMap, hash_map},
    hash::Hash,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Caller, CallersError, Digest, PeerName, Role, Roles,
    callers::{CALLERS_MAX, Entry},
    lines::Lines,
    moment::unix_seconds,
};

/// Bytes of a caller's name at most.
const NAME_BYTES_MAX: usize = 128;

type Value<'a> = Spanned<DeValue<'a>>;

/// The callers of a file with this text, or all that is wrong with it, in the order of its lines.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, Vec<CallersError>> {
    let mut reading = Reading::of(text);
    match DeTable::parse(text) {
        Ok(table) => reading.file(table.get_ref()),
        Err(error) => {
            let position = error.span().map_or(0, |span| span.start);
            reading.refuse(position, format!("it is not TOML: {}", error.message()));
        }
    }
    let Reading { entries, mut errors, .. } = reading;
    errors.sort_by_key(|error| error.line);
    if errors.is_empty() { Ok(entries) } else { Err(errors) }
}

/// What has been read so far.
struct Reading {
    lines: Lines,
    entries: Vec<Entry>,
    errors: Vec<CallersError>,
    /// Each name, and each credential, with the line that has it.
    names: HashMap<String, usize>,
    tokens: HashMap<[u8; 32], usize>,
    peers: HashMap<PeerName, usize>,
}

impl Reading {
    fn of(text: &str) -> Self {
        Self {
            lines: Lines::of(text),
            entries: Vec::new(),
            errors: Vec::new(),
            names: HashMap::new(),
            tokens: HashMap::new(),
            peers: HashMap::new(),
        }
    }

    fn refuse(&mut self, position: usize, problem: impl Into<String>) {
        let line = Some(self.lines.at(position));
        self.errors.push(CallersError { line, caller: None, problem: problem.into() });
    }

    fn file(&mut self, table: &DeTable<'_>) {
        let mut count = 0;
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("caller", DeValue::Array(callers)) => {
                    count = callers.len();
                    callers.iter().take(CALLERS_MAX).for_each(|caller| self.caller(caller));
                }
                ("caller", _) => self.refuse(key.span().start, "allowed are tables: [[caller]]"),
                (other, _) => {
                    let problem = format!("there is no {other}; allowed is [[caller]] only");
                    self.refuse(key.span().start, problem);
                }
            }
        }
        if count > CALLERS_MAX {
            self.refuse(0, format!("allowed are {CALLERS_MAX} callers at most, not {count}"));
        }
        if count == 0 && self.errors.is_empty() {
            self.refuse(0, "there is no [[caller]]: nobody could call anything");
        }
    }

    fn caller(&mut self, value: &Value<'_>) {
        let position = value.span().start;
        let DeValue::Table(table) = value.get_ref() else {
            return self.refuse(position, "allowed are tables: [[caller]]");
        };
        let mut draft = Draft::new(self, table);
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => draft.name(value),
                "roles" => draft.roles(value),
                "token_sha256" => draft.tokens(value),
                "san" => draft.peers(value),
                "expires" => draft.expires(value),
                other => draft.refuse(key.span().start, unknown(other)),
            }
        }
        draft.end(table, position);
    }
}

fn unknown(key: &str) -> String {
    let allowed = "allowed are name, roles, token_sha256, san and expires";
    match key {
        "token" => format!("a token itself must not be in a file, its SHA-256 is; {allowed}"),
        _ => format!("there is no {key}; {allowed}"),
    }
}

/// A caller that is being read.
struct Draft<'a> {
    reading: &'a mut Reading,
    /// What it calls itself, right or wrong; empty where it does not.
    name: String,
    roles: Roles,
    tokens: Vec<Digest>,
    peers: Vec<PeerName>,
    expires: Option<u64>,
}

impl<'a> Draft<'a> {
    /// Of its name first of all, since every error tells it.
    fn new(reading: &'a mut Reading, table: &DeTable<'_>) -> Self {
        let name = table.get("name").and_then(|name| name.get_ref().as_str());
        Self {
            reading,
            name: name.unwrap_or_default().to_owned(),
            roles: Roles::default(),
            tokens: Vec::new(),
            peers: Vec::new(),
            expires: None,
        }
    }

    fn refuse(&mut self, position: usize, problem: impl Into<String>) {
        let line = Some(self.line(position));
        let caller = Some(self.name.clone()).filter(|name| !name.is_empty());
        self.reading.errors.push(CallersError { line, caller, problem: problem.into() });
    }

    fn line(&self, position: usize) -> usize {
        self.reading.lines.at(position)
    }

    fn name(&mut self, value: &Value<'_>) {
        let position = value.span().start;
        let is_name = (1..=NAME_BYTES_MAX).contains(&self.name.len());
        if !is_name || self.name.contains(char::is_control) {
            let problem =
                format!("name: allowed is a line of text, of {NAME_BYTES_MAX} bytes at most");
            return self.refuse(position, problem);
        }
        let line = self.line(position);
        let name = self.name.clone();
        if let Some(before) = taken(&mut self.reading.names, name, line) {
            self.refuse(position, format!("name: line {before} has a caller of this name too"));
        }
    }

    fn roles(&mut self, value: &Value<'_>) {
        for (text, position) in self.texts("roles", value) {
            match Role::parse(&text) {
                Some(role) => self.roles = self.roles.with(role),
                None => {
                    let allowed = Role::ALL.map(Role::name).join(", ");
                    self.refuse(
                        position,
                        format!("roles: {text:?} is none; allowed are {allowed}"),
                    );
                }
            }
        }
    }

    fn tokens(&mut self, value: &Value<'_>) {
        for (text, position) in self.texts("token_sha256", value) {
            let Some(digest) = Digest::parse(&text) else {
                let problem = "token_sha256: allowed are the 64 hexadecimal digits of a SHA-256; \
                               `readstates token` prints them";
                self.refuse(position, problem);
                continue;
            };
            let line = self.line(position);
            match taken(&mut self.reading.tokens, *digest.bytes(), line) {
                None => self.tokens.push(digest),
                Some(before) => {
                    let problem = format!("token_sha256: line {before} has the same token");
                    self.refuse(position, problem);
                }
            }
        }
    }

    fn peers(&mut self, value: &Value<'_>) {
        for (text, position) in self.texts("san", value) {
            let Some(name) = PeerName::parse(&text) else {
                let problem = format!(
                    "san: {text:?} is none; allowed are a SPIFFE id, such as \
                     spiffe://chat/ns/prod/sa/gateway, and the name of a host, such as \
                     dns:gateway.internal"
                );
                self.refuse(position, problem);
                continue;
            };
            let line = self.line(position);
            match taken(&mut self.reading.peers, name.clone(), line) {
                None => self.peers.push(name),
                Some(before) => self.refuse(position, format!("san: line {before} has it too")),
            }
        }
    }

    fn expires(&mut self, value: &Value<'_>) {
        self.expires = match value.get_ref() {
            DeValue::Datetime(moment) => unix_seconds(moment),
            _ => None,
        };
        if self.expires.is_none() {
            let problem = "expires: allowed is a date and time with its offset from UTC, such as \
                           2027-01-01T00:00:00Z, without quotes";
            self.refuse(value.span().start, problem);
        }
    }

    /// One text or many, each with its position.
    fn texts(&mut self, key: &str, value: &Value<'_>) -> Vec<(String, usize)> {
        let values = match value.get_ref() {
            DeValue::Array(values) => values.iter().collect(),
            _ => vec![value],
        };
        let mut texts = Vec::new();
        for value in values {
            match value.get_ref().as_str() {
                Some(text) => texts.push((text.to_owned(), value.span().start)),
                None => {
                    let problem = format!("{key}: allowed is text in quotes, or an array of that");
                    self.refuse(value.span().start, problem);
                }
            }
        }
        texts
    }

    /// Takes the caller up, with what it must have. Where something was wrong with it, nobody will
    /// look at it.
    fn end(mut self, table: &DeTable<'_>, position: usize) {
        if !table.contains_key("name") {
            self.refuse(position, "a caller needs a name");
        }
        let says_roles = table.get("roles").is_some_and(|value| !is_empty_array(value));
        if !says_roles {
            let problem = "a caller needs roles: what it may call follows from them";
            self.refuse(position, problem);
        }
        let keys = ["token_sha256", "san"].map(|key| table.get(key));
        if keys.into_iter().flatten().all(is_empty_array) {
            self.refuse(position, "a caller needs a token_sha256 or a san to be known by");
        }
        let Self { reading, name, roles, tokens, peers, expires } = self;
        let caller = Caller { name: name.into(), roles, expires };
        reading.entries.push(Entry { caller, tokens, peers });
    }
}

fn is_empty_array(value: &Value<'_>) -> bool {
    value.get_ref().as_array().is_some_and(|values| values.is_empty())
}

/// The line that has `key` already; if none does, this `line` has.
fn taken<K: Eq + Hash>(lines: &mut HashMap<K, usize>, key: K, line: usize) -> Option<usize> {
    match lines.entry(key) {
        hash_map::Entry::Occupied(before) => Some(*before.get()),
        hash_map::Entry::Vacant(free) => {
            free.insert(line);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(text: &str) -> Vec<Entry> {
        entries(text).unwrap_or_else(|errors| panic!("{errors:#?}"))
    }

    fn refused(text: &str) -> Vec<String> {
        entries(text).expect_err("it is wrong").iter().map(CallersError::to_string).collect()
    }

    /// A caller that is right but for what `rest` does to it.
    fn caller(name: &str, rest: &str) -> String {
        format!("[[caller]]\nname = {name:?}\nroles = [\"reader\"]\n{rest}\n")
    }

    #[test]
    fn a_caller_has_roles_credentials_and_perhaps_an_end() {
        let text = format!(
            "# Who may call.\n[[caller]]\nname = \"gateway\"\nroles = [\"writer\", \"reader\"]\n\
             token_sha256 = [\"{HEX}\", \"{}\"]\nsan = \"dns:Gateway.internal\"\n\
             expires = 2027-01-01T00:00:00Z\n\n{}",
            HEX.replace('b', "0"),
            caller("second", "san = [\"spiffe://chat/ns/second\"]"),
        );
        let entries = read(&text);
        let [first, second] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(&*first.caller.name, "gateway");
        assert_eq!(first.caller.roles, Roles::of(&[Role::Reader, Role::Writer]));
        assert_eq!(first.caller.expires, Some(1_798_761_600));
        assert_eq!(first.tokens.len(), 2);
        assert_eq!(first.peers, [PeerName::dns("gateway.internal").expect("a name")]);
        assert_eq!((second.caller.expires, second.tokens.len()), (None, 0));
    }

    #[test]
    fn everything_wrong_is_told_at_once_with_line_and_caller() {
        let text = "[[caller]]\nname = \"a\"\nroles = [\"reader\", \"root\"]\n\
                    token_sha256 = \"hunter2\"\nexpires = \"2027-01-01T00:00:00Z\"\n\
                    [[caller]]\nroles = []\nsan = [\"dns:*.internal\", 5]\n\
                    [[caller]]\nname = \"a\"\nroles = [\"admin\"]\ntoken = \"hunter2\"\n\
                    [[user]]\n";
        let expected = [
            "line 3: caller \"a\": roles: \"root\" is none; allowed are reader, writer, fanout,",
            "line 4: caller \"a\": token_sha256: allowed are the 64 hexadecimal digits",
            "line 5: caller \"a\": expires: allowed is a date and time with its offset",
            "line 6: a caller needs a name",
            "line 6: a caller needs roles",
            "line 8: san: allowed is text in quotes, or an array of that",
            "line 8: san: \"dns:*.internal\" is none; allowed are a SPIFFE id",
            "line 9: caller \"a\": a caller needs a token_sha256 or a san",
            "line 10: caller \"a\": name: line 2 has a caller of this name too",
            "line 12: caller \"a\": a token itself must not be in a file, its SHA-256 is",
            "line 13: there is no user; allowed is [[caller]] only",
        ];
        let errors = refused(text);
        assert_eq!(errors.len(), expected.len(), "{errors:#?}");
        for (error, expected) in errors.iter().zip(expected) {
            assert!(error.starts_with(expected), "{error:?} is not {expected:?}");
        }
        assert!(!errors.concat().contains("hunter2"), "what may be a token is told: {errors:#?}");
    }

    #[test]
    fn no_two_callers_have_one_credential_nor_one_caller_two_of_the_same() {
        let token = format!("token_sha256 = {HEX:?}");
        let upper = format!("token_sha256 = [{:?}]", HEX.to_uppercase());
        let twice = format!("token_sha256 = [{HEX:?}, {HEX:?}]");
        let of = |first: &str, second: &str| caller("a", first) + &caller("b", second);
        let same = "line 8: caller \"b\": token_sha256: line 4 has the same token";
        assert_eq!(refused(&of(&token, &upper)), [same]);
        let same = "line 4: caller \"a\": token_sha256: line 4 has the same token";
        assert_eq!(refused(&caller("a", &twice)), [same]);
        let (one, other) = ("san = \"dns:A.b\"", "san = [\"dns:c\", \"dns:a.B\"]");
        assert_eq!(refused(&of(one, other)), ["line 8: caller \"b\": san: line 4 has it too"]);
    }

    #[test]
    fn a_file_that_names_nobody_is_refused() {
        for text in ["", "# nobody\n", "caller = []\n"] {
            let errors = refused(text);
            assert_eq!(errors, ["line 1: there is no [[caller]]: nobody could call anything"]);
        }
        assert!(refused("[[caller]\n")[0].starts_with("line 1: it is not TOML: "));
        assert_eq!(refused("\ncaller = 5\n"), ["line 2: allowed are tables: [[caller]]"]);
        assert_eq!(refused("\ncaller = [5]\n"), ["line 2: allowed are tables: [[caller]]"]);
    }

    #[test]
    fn names_are_lines_and_not_too_long() {
        let token = format!("token_sha256 = {HEX:?}");
        for name in ["", "a\nb", &"x".repeat(NAME_BYTES_MAX + 1)] {
            let [error] = &refused(&caller(name, &token))[..] else { panic!("one error") };
            assert!(error.contains("name: allowed is a line of text"), "{error}");
        }
    }

    #[test]
    fn the_example_of_the_documentation_is_valid() {
        let readme = include_str!("../../README.md");
        let (_, example) = readme.split_once("```toml\n[[caller]]").expect("it has one");
        let (example, _) = example.split_once("```").expect("it ends");
        let entries = read(&format!("[[caller]]{example}"));
        assert_eq!(entries.len(), 2);
        assert!(entries.iter().any(|entry| entry.caller.expires.is_some()));
    }

    #[test]
    fn ten_thousand_callers_are_taken_and_no_more() {
        let file = |count: usize| -> String {
            (0..count).map(|n| caller(&n.to_string(), &format!("san = \"dns:h{n}\""))).collect()
        };
        assert_eq!(read(&file(CALLERS_MAX)).len(), CALLERS_MAX);
        let errors = refused(&file(CALLERS_MAX + 1));
        assert_eq!(errors, ["line 1: allowed are 10000 callers at most, not 10001"]);
    }
}
