//! A configuration told back: as a file that makes it again, or as JSON.

use serde_json::{Map, Value, json};

use crate::config::{Effective, EffectiveValue, Origin, assignment, value};

const HEAD: &str = "# Settings of readstates in effect.";
const HEAD_OF_GIVEN: &str = " What says nothing of where it came from is at its default.";

/// What a server makes of values that are left to it, by key.
type Resolved = [(&'static str, String)];

/// A file with every setting. Comments say where values came from; those of defaults too where
/// `all_origins` are wanted.
pub(super) fn toml(effective: &Effective, resolved: &Resolved, all_origins: bool) -> String {
    let mut text = HEAD.to_owned();
    text.push_str(if all_origins { "" } else { HEAD_OF_GIVEN });
    text.push_str("\n\n");
    for value in &effective.values {
        text.push_str(&line(value, resolved_of(value, resolved), all_origins));
        text.push('\n');
    }
    text
}

/// Unused settings stand in comments: beside the one that is used they would be refused.
fn line(value: &EffectiveValue, resolved: Option<&str>, all_origins: bool) -> String {
    let written = assignment(value.key, &value.text);
    let mut notes = Vec::new();
    if let Some(used) = value.replaced_by {
        notes.push(format!("not used beside {used}"));
    }
    if all_origins || value.origin != Origin::Default {
        notes.push(value.origin.to_string());
    }
    if let Some(resolved) = resolved {
        notes.push(format!("here {resolved}"));
    }
    let mark = if value.replaced_by.is_some() { "# " } else { "" };
    match notes.is_empty() {
        true => format!("{mark}{written}"),
        // A file may be called anything, and a comment ends with its line.
        false => format!("{mark}{written}  # {}", notes.join("; ").replace(char::is_control, "?")),
    }
}

/// A list with an object for each setting.
pub(super) fn json(effective: &Effective, resolved: &Resolved) -> Value {
    let settings = effective.values.iter();
    settings.map(|value| object(value, resolved_of(value, resolved))).collect()
}

fn object(effective: &EffectiveValue, resolved: Option<&str>) -> Value {
    let mut object = Map::new();
    object.insert("key".to_owned(), effective.key.into());
    object.insert("value".to_owned(), json!(value(&effective.text)));
    let (kind, name, line) = match &effective.origin {
        Origin::Flag(flag) => ("flag", Some(flag.as_str()), None),
        Origin::Variable(variable) => ("variable", Some(variable.as_str()), None),
        Origin::File { name, line } => ("file", Some(name.as_str()), *line),
        Origin::Setting(key) => ("setting", Some(*key), None),
        Origin::Default => ("default", None, None),
    };
    object.insert("origin".to_owned(), kind.into());
    let more = [
        (kind, name.map(Value::from)),
        ("line", line.map(Value::from)),
        ("resolved", resolved.map(|text| json!(value(text)))),
        ("replaced_by", effective.replaced_by.map(Value::from)),
    ];
    for (key, known) in more {
        object.extend(known.map(|known| (key.to_owned(), known)));
    }
    object.into()
}

fn resolved_of<'a>(value: &EffectiveValue, resolved: &'a Resolved) -> Option<&'a str> {
    resolved.iter().find(|(key, _)| *key == value.key).map(|(_, text)| text.as_str())
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::config::{Config, ConfigFile, args, settings};

    fn effective(flags: &[&str], variables: &[(&str, &str)], file: Option<&str>) -> Effective {
        let command = Command::new("serve").args(args());
        let matches = command.try_get_matches_from([&["serve"], flags].concat()).unwrap();
        let file = file.map(|text| ConfigFile { name: "a.toml".to_owned(), text: text.to_owned() });
        let loaded = Effective::load(&matches, variables.iter().copied(), file.as_ref());
        loaded.expect("it is valid")
    }

    #[test]
    fn what_is_printed_makes_the_same_configuration() {
        let cases: [&[&str]; 6] = [
            &[],
            &["--store=memory"],
            &["--cache-entries=2000", "--dirty-limit=007"],
            &["--data-dir=a \"b\"\\c'd' # e", "--shards=0", "--flush-after=1m 30s"],
            &["--data-dir=two\nlines", "--log-filter=warn"],
            &["--store=cassandra", "--standby", "--cassandra-datacenter=east"],
        ];
        for flags in cases {
            let effective = effective(flags, &[], None);
            for all_origins in [false, true] {
                let text = toml(&effective, &[("shards", "7".to_owned())], all_origins);
                let again = self::effective(&[], &[], Some(&text));
                assert_eq!(again.config, effective.config, "{text}");
            }
        }
    }

    #[test]
    fn each_value_tells_where_it_came_from() {
        let file = "max-keys = 9\nmax-items = 5\n";
        let variables = [("READSTATES_MAX_ITEMS", "6")];
        let effective = effective(&["--shards=3", "--store=memory"], &variables, Some(file));
        let text = toml(&effective, &[], false);
        for line in [
            "max-keys = 9  # file a.toml, line 1",
            "max-items = 6  # variable READSTATES_MAX_ITEMS",
            "shards = 3  # flag --shards",
            "durability = \"memory\"  # setting store",
            "listen = \"127.0.0.1:50051\"",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in:\n{text}");
        }
        let text = toml(&effective, &[], true);
        assert!(text.contains("\nlisten = \"127.0.0.1:50051\"  # default\n"), "{text}");
    }

    #[test]
    fn what_is_left_to_the_server_or_not_used_says_so() {
        let effective = effective(&["--cache-entries=2000"], &[], None);
        let text = toml(&effective, &[("dirty-limit", "1000".to_owned())], false);
        assert!(text.contains("\ndirty-limit = \"auto\"  # here 1000\n"), "{text}");
        let unused = "\n# cache-memory = \"512MiB\"  # not used beside cache-entries\n";
        assert!(text.contains(unused), "{text}");
    }

    #[test]
    fn a_name_of_a_file_cannot_leave_its_comment() {
        let mut effective = effective(&[], &[], None);
        let name = "a\nshards = 5".to_owned();
        effective.values[0].origin = Origin::File { name, line: Some(1) };
        let text = toml(&effective, &[], false);
        assert!(text.contains("  # file a?shards = 5, line 1\n"), "{text}");
    }

    #[test]
    fn json_has_every_setting_with_value_and_origin() {
        let variables = [("READSTATES_STANDBY", "false")];
        let file = Some("\nmax-keys = 9\n");
        let effective = effective(&["--cache-entries=2000"], &variables, file);
        let list = json(&effective, &[("dirty-limit", "1000".to_owned())]);
        let list = list.as_array().expect("a list");
        assert_eq!(list.len(), settings().count());
        let of = |key| list.iter().find(|object| object["key"] == key).expect("it is there");
        for (key, expected) in [
            ("max-keys", json!({"value": 9, "origin": "file", "file": "a.toml", "line": 2})),
            (
                "standby",
                json!({"value": false, "origin": "variable", "variable": "READSTATES_STANDBY"}),
            ),
            ("cache-entries", json!({"value": 2000, "origin": "flag", "flag": "--cache-entries"})),
            ("dirty-limit", json!({"value": "auto", "origin": "default", "resolved": 1000})),
            (
                "cache-memory",
                json!({"value": "512MiB", "origin": "default", "replaced_by": "cache-entries"}),
            ),
        ] {
            let mut expected = expected;
            expected["key"] = key.into();
            assert_eq!(of(key), &expected);
        }
    }

    #[test]
    fn a_secret_is_named_and_not_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter2\n").expect("it is written");
        let path = path.to_str().expect("UTF-8");
        let flags = ["--cassandra-user=chat", "--cassandra-password-file", path];
        let effective = effective(&flags, &[], None);
        let password = |config: &Config| config.cassandra_password_file.clone();
        assert_eq!(password(&effective.config).expect("it is given").reveal(), "hunter2");
        for told in [
            toml(&effective, &[], true),
            json(&effective, &[]).to_string(),
            format!("{effective:?}"),
        ] {
            assert!(told.contains(path) && !told.contains("hunter2"), "{told}");
        }
    }
}
