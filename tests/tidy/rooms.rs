//! The rooms of `src/` and what each may see: the ones below it, but for those named here.

use crate::{finding::Finding, source::Source};

/// A room, with what it must not touch.
struct Room {
    name: &'static str,
    /// Rooms below it that it may not see all the same.
    rooms: &'static [&'static str],
    crates: Crates,
    /// Paths and calls that do not belong there.
    words: &'static [&'static str],
    /// Where the matter belongs instead.
    instead: &'static str,
}

enum Crates {
    Without(&'static [&'static str]),
    None,
}

/// From the top of the house to its ground; `proto` is the generated contract.
const ROOMS: [Room; 22] = [
    room("main", &[], "main only starts things"),
    room(
        "cli",
        &[
            "server",
            "rpc",
            "admin",
            "engine",
            "flush",
            // Not "journal": `readstates journal` works on files while the server is down. Nor
            // "store": `readstates schema` makes the tables that it needs.
            "cache",
            "lease",
            "metrics",
            "lifecycle",
            "clock",
        ],
        "a command is a gRPC client: ask the server over the wire",
    ),
    room("server", &[], "assembly sees everything"),
    room(
        "edge",
        &["engine", "flush", "journal", "cache", "lease", "store", "proto", "admin"],
        "it moves bytes: what they mean is for rpc",
    ),
    room("rpc", &["cache", "store", "flush"], "call a verb of engine"),
    room("proto", &[], "it is generated"),
    room("admin", &["cache"], "show it through metrics"),
    Room {
        crates: Crates::Without(&["tonic", "prost", "http", "hyper", "rustls"]),
        words: CLOCKS,
        ..room(
            "doors",
            &["engine", "flush", "journal", "cache", "lease", "store", "logging", "model"],
            "it knows callers and names of methods only: bytes and strings from above",
        )
    },
    Room {
        crates: Crates::Without(&["tonic", "prost", "tonic_types", "tonic_prost"]),
        ..room("engine", &[], "speak the model's types; rpc turns them into the wire's")
    },
    room("flush", &[], "engine and server drive it from above"),
    Room {
        crates: Crates::Without(&["tonic"]),
        words: CLOCKS,
        ..room("journal", &["cache"], "take post-states and the time as arguments")
    },
    Room {
        crates: Crates::Without(&["tokio", "tonic", "tracing", "fjall"]),
        words: &[
            "Instant::now",
            "SystemTime::now",
            "std::fs",
            "std::net",
            "std::thread",
            "println!",
            "eprintln!",
            "async fn",
            ".await",
            // The time is an argument, of type `clock::Now`.
            "clock::Clock",
            "clock::{Clock",
        ],
        ..room(
            "cache",
            &["lease", "store", "logging", "metrics", "lifecycle", "config"],
            "it is synchronous: take what you need as an argument and count in plain numbers",
        )
    },
    Room {
        crates: Crates::Without(&["tonic", "scylla"]),
        words: CLOCKS,
        ..room("lease", &["config"], "the time is that of its own clock, the row that of a table")
    },
    Room {
        crates: Crates::Without(&["tonic"]),
        ..room("store", &[], "it keeps rows and knows nothing of who asks")
    },
    room("traces", &["logging", "config"], "it knows calls by name and headers only"),
    room("logging", &[], "it sees only configuration"),
    room("metrics", &[], "take snapshots from above"),
    room("lifecycle", &[], "the rooms above watch it"),
    room("clock", &[], "the rooms above ask it"),
    room("config", &[], "the rooms above read it"),
    Room {
        crates: Crates::None,
        words: CLOCKS,
        ..room("model", &[], "it is pure: take what you need as an argument")
    },
    Room { crates: Crates::None, ..room("sabotage", &[], "it breaks things, and sees nothing") },
];

const CLOCKS: &[&str] = &["Instant::now", "SystemTime::now"];

/// The rooms that speak the wire's types.
const PROTO_SEEN_BY: [&str; 4] = ["main", "cli", "server", "rpc"];

const fn room(name: &'static str, rooms: &'static [&'static str], instead: &'static str) -> Room {
    Room { name, rooms, crates: Crates::Without(&[]), words: &[], instead }
}

/// The crates that a manifest names as dependencies, as they are spelled in paths.
pub fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| line.split_once('=').map(|(name, _)| name.trim()));
    names.filter(|name| !name.starts_with('#')).map(|name| name.replace('-', "_")).collect()
}

/// Everything that `source` sees and should not.
pub fn check(source: &Source, dependencies: &[String]) -> Vec<Finding> {
    let Some(name) = room_name(&source.path) else { return Vec::new() };
    let Some(height) = height(name) else {
        let words = format!("no such room as {name}: give it a place in tests/tidy/rooms.rs");
        return vec![Finding::new(source, 1, words)];
    };
    let room = &ROOMS[height];
    let mut findings = check_rooms(source, room, height);
    findings.extend(check_crates(source, room, dependencies));
    findings.extend(check_words(source, room));
    findings
}

/// The room that the file at `path` is in; `lib.rs` is the house itself.
fn room_name(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let name = inside.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (name != "lib").then_some(name)
}

fn height(name: &str) -> Option<usize> {
    ROOMS.iter().position(|room| room.name == name)
}

fn check_rooms(source: &Source, room: &Room, from: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (position, seen) in seen_rooms(source) {
        // What is no room is an item of lib.rs, which is everyone's.
        let Some(to) = height(&seen) else { continue };
        let upward = to < from && seen != "proto";
        let wire = seen == "proto" && !PROTO_SEEN_BY.contains(&room.name);
        if upward || wire || room.rooms.contains(&seen.as_str()) {
            let words = format!("{} must not see {seen}; {}", room.name, room.instead);
            findings.push(Finding::new(source, source.line(position), words));
        }
    }
    for position in climbs(source) {
        let words = "a path out of the room; begin it with crate::";
        findings.push(Finding::new(source, source.line(position), words));
    }
    findings
}

fn check_crates(source: &Source, room: &Room, dependencies: &[String]) -> Vec<Finding> {
    let banned: Vec<&str> = match room.crates {
        Crates::Without(names) => names.to_vec(),
        Crates::None => dependencies.iter().map(String::as_str).collect(),
    };
    let mut findings = Vec::new();
    for name in banned {
        for position in paths_from(source.shipped(), name) {
            let words = format!("{} must not use {name}; {}", room.name, room.instead);
            findings.push(Finding::new(source, source.line(position), words));
        }
    }
    findings
}

fn check_words(source: &Source, room: &Room) -> Vec<Finding> {
    let mut findings = Vec::new();
    for word in room.words {
        for (position, _) in source.shipped().match_indices(word) {
            let words = format!("{} must not use {word}; {}", room.name, room.instead);
            findings.push(Finding::new(source, source.line(position), words));
        }
    }
    findings
}

/// The first names after `crate::`, also of each path in `crate::{..}`, with their positions.
fn seen_rooms(source: &Source) -> Vec<(usize, String)> {
    let code = source.shipped();
    let mut seen = Vec::new();
    for start in paths_from(code, "crate") {
        let after = start + "crate::".len();
        match code[after..].strip_prefix('{') {
            Some(group) => seen.extend(heads(group).map(|(at, name)| (after + 1 + at, name))),
            None => seen.push((start, word(&code[after..]))),
        }
    }
    seen
}

/// The first name of each path in a `use` group whose opening brace is already taken.
fn heads(group: &str) -> impl Iterator<Item = (usize, String)> {
    let mut depth = 1;
    let mut starts = vec![0];
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => starts.push(at + 1),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    starts.into_iter().map(|start| {
        let path = group[start..].trim_start();
        (group.len() - path.len(), word(path))
    })
}

/// Where a path begins with the crate or keyword `name`.
fn paths_from(code: &str, name: &str) -> Vec<usize> {
    let mut positions = Vec::new();
    for (position, _) in code.match_indices(name) {
        let before = code[..position].chars().next_back();
        let starts = before.is_none_or(|letter| !in_word(letter) && letter != ':');
        let after = &code[position + name.len()..];
        if starts && (after.starts_with("::") || after.starts_with(';')) {
            positions.push(position);
        }
    }
    positions
}

/// Where `super::super::` climbs to the crate's root or beyond.
fn climbs(source: &Source) -> Vec<usize> {
    let code = source.shipped();
    let inside = source.path.trim_start_matches("src/").trim_end_matches("/mod.rs");
    let depth = inside.split('/').count();
    let climb = "super::".repeat(depth);
    code.match_indices(&climb).map(|(position, _)| position).collect()
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| in_word(*letter)).collect()
}

fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\n\n[dependencies]\ntokio = \"1\"\n# words = none\n\
                            tonic-types = \"0.14\"\n\n[dev-dependencies]\ntempfile = \"3\"\n";

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let findings = check(&Source::new(path, text), &dependencies(MANIFEST));
        assert!(findings.iter().all(|finding| finding.path == path));
        findings.into_iter().map(|finding| (finding.line, finding.words)).collect()
    }

    #[track_caller]
    fn refused(path: &str, text: &str, line: usize, words: &str) {
        let found = found(path, text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == line && found[0].1.starts_with(words), "{found:?}");
    }

    #[track_caller]
    fn allowed(path: &str, text: &str) {
        assert_eq!(found(path, text), []);
    }

    #[test]
    fn dependencies_are_read_from_the_manifest() {
        assert_eq!(dependencies(MANIFEST), ["tokio", "tonic_types"]);
    }

    #[test]
    fn a_room_sees_those_below_and_none_above() {
        allowed("src/rpc/ack.rs", "use crate::engine::Engine;");
        allowed("src/flush/mod.rs", "use crate::{cache::Cache, metrics, store::{Row, Store}};");
        refused("src/store/mod.rs", "\nuse crate::cache::Cache;", 2, "store must not see cache");
        refused("src/flush/mod.rs", "use crate::rpc::Call;", 1, "flush must not see rpc");
        refused("src/model/id.rs", "fn f() { crate::store::x() }", 1, "model must not see store");
        refused("src/config/mod.rs", "use crate::server;", 1, "config must not see server");
    }

    #[test]
    fn some_rooms_below_are_closed_too() {
        refused("src/rpc/get.rs", "use crate::cache::Cache;", 1, "rpc must not see cache");
        refused("src/cli/get.rs", "use crate::engine::Engine;", 1, "cli must not see engine");
        refused("src/cache/mod.rs", "use crate::metrics::X;", 1, "cache must not see metrics");
        refused("src/admin.rs", "use crate::cache::Cache;", 1, "admin must not see cache");
    }

    #[test]
    fn every_path_of_a_group_is_looked_at() {
        let text = "use crate::{\n    model::{Key, State},\n    rpc,\n    store::Row,\n};";
        refused("src/engine/list.rs", text, 3, "engine must not see rpc");
    }

    #[test]
    fn the_wire_stays_in_the_rooms_that_speak_it() {
        allowed("src/rpc/ack.rs", "use crate::proto::AckRequest;");
        allowed("src/cli/ack.rs", "use crate::proto::AckRequest;");
        refused("src/engine/ack.rs", "use crate::proto::AckRequest;", 1, "engine must not see");
        refused("src/store/row.rs", "use crate::proto::ReadState;", 1, "store must not see");
    }

    #[test]
    fn crates_stay_in_their_rooms() {
        allowed("src/engine/ack.rs", "use tokio::sync::Notify;");
        allowed("src/model/id.rs", "use std::fmt; // not tokio::sync");
        refused("src/model/id.rs", "#[derive(tonic_types::Error)]", 1, "model must not use tonic");
        refused("src/cache/shard.rs", "\nuse tokio::sync::Mutex;", 2, "cache must not use tokio");
        refused("src/engine/ack.rs", "fn f() -> tonic::Status", 1, "engine must not use tonic");
        refused("src/journal/mod.rs", "use tonic;", 1, "journal must not use tonic");
    }

    #[test]
    fn clocks_are_arguments() {
        let text = "fn f() { Instant::now(); }";
        allowed("src/engine/ack.rs", text);
        allowed("src/cache/shard.rs", &format!("#[cfg(test)]\nmod tests {{\n{text}\n}}"));
        refused("src/cache/shard.rs", text, 1, "cache must not use Instant::now");
        refused("src/journal/mod.rs", text, 1, "journal must not use Instant::now");
        allowed("src/cache/mod.rs", "use crate::clock::Now;");
        refused("src/cache/mod.rs", "use crate::clock::Clock;", 1, "cache must not use clock");
    }

    #[test]
    fn no_path_climbs_out_of_its_room() {
        allowed("src/cache/shard.rs", "use super::Cache;");
        refused("src/cache/shard.rs", "use super::super::rpc::X;", 1, "a path out of the room");
        refused("src/admin.rs", "use super::rpc::X;", 1, "a path out of the room");
        refused("src/cache/mod.rs", "use super::rpc::X;", 1, "a path out of the room");
    }

    #[test]
    fn a_new_room_needs_a_place() {
        refused("src/cellar/mod.rs", "", 1, "no such room as cellar");
        allowed("src/lib.rs", "pub use crate::server::Server;");
    }
}
