//! Dumps of servers that go on working, and dumps that break off.

use std::{collections::BTreeMap, fs, thread};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::proto::{DeleteRequest, DeleteUserRequest, ListRequest, ReadStateType};
use serde_json::Value;

use crate::{
    command::Desk,
    server::Server,
    writers::{Place, Writers, fill},
};

/// Random, and repeatable: the seed is printed, and taken from the environment where given.
pub fn seed() -> u64 {
    let given = std::env::var("READSTATES_TEST_SEED").ok();
    let seed = given.map_or_else(rand::random, |seed| seed.parse().expect("a number"));
    println!("READSTATES_TEST_SEED={seed}");
    seed
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_str().expect("it is a string").parse().expect("of a number")
}

fn versions(rows: &[Value]) -> BTreeMap<Place, u64> {
    let place = |row: &Value| {
        let kind = row["type"].as_str().and_then(ReadStateType::from_str_name);
        let kind = i32::from(kind.expect("it has a type"));
        (number(row, "user_id"), kind, number(row, "channel_id"))
    };
    rows.iter().map(|row| (place(row), number(row, "version"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dumped_under_load_and_loaded_is_equal_at_the_dumps_version() {
    let desk = Desk::new();
    // A small cache: much is evicted, and much is dirty when the line is drawn.
    let source = Server::with(&["--cache-entries", "2000", "--shards", "4"]);
    let writers = Writers::start(&source, 8, seed()).await;
    writers.make(8_000).await;
    for name in ["a.ndjson", "b.ndjson.zst"] {
        writers.make(500).await;
        let dumped = desk.dump(source.grpc(), name);
        // Each writer has changed something after the line.
        writers.make(500).await;
        let again = desk.run(source.grpc(), &["verify", "--json", name]).well();
        assert!(again.count("changed_since") > 0);
        assert_eq!(again.count("version"), dumped.count("version"));
    }
    desk.run(source.grpc(), &["verify"]).well();
    let answered = writers.stop().await;
    for name in ["a.ndjson", "b.ndjson.zst"] {
        let line: Value =
            serde_json::from_slice(desk.text(name).split(|b| *b == b'\n').next().expect("a line"))
                .expect("JSON");
        let line = number(&line, "version");
        let dumped = versions(&desk.rows(name));
        assert!(answered.values().flatten().any(|version| *version > line), "all came before");
        for (place, versions) in &answered {
            let Some(due) = versions.iter().filter(|version| **version <= line).max() else {
                continue;
            };
            let found = dumped.get(place);
            assert!(found >= Some(due), "{place:?} has {found:?} and had {due} before {line}");
        }
    }
    let target = Server::start();
    let loaded = desk.load(target.grpc(), "b.ndjson.zst");
    assert_eq!(loaded.count("taken"), loaded.count("rows"));
    let equal = |server: &Server| {
        let found = desk.run(server.grpc(), &["verify", "--json", "b.ndjson.zst"]).well();
        assert_eq!(found.count("equal"), loaded.count("rows"));
        assert_eq!(found.count("changed_since"), 0);
        desk.run(server.grpc(), &["verify"]).well();
    };
    equal(&target);
    // The first time as the journal has it, then as the store does.
    let target = target.kill().await.restart();
    equal(&target);
    let target = target.terminate().await.restart();
    equal(&target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_cut_anywhere_and_gone_on_with_is_the_same_dump() {
    let desk = Desk::new();
    let server = Server::with(&["--store", "memory"]);
    fill(&mut server.client().await, 120, 20).await;
    let rng = &mut StdRng::seed_from_u64(seed());
    for name in ["a.ndjson", "a.ndjson.zst"] {
        let dumped = desk.dump(server.grpc(), name);
        assert_eq!(dumped.count("rows"), desk.rows(name).len() as u64);
        let (whole, text) = (fs::read(desk.path(name)).expect("it is there"), desk.text(name));
        let rows = desk.rows(name);
        let resume = ["dump", "--json", "--resume", "--output", name];
        assert_eq!(desk.run(server.grpc(), &resume).well().json(), dumped.json(), "it is whole");
        for cut in [0, 1, 40, whole.len() - 1].into_iter().chain((0..4).map(|_| 0)) {
            let cut = if cut == 0 { rng.random_range(0..whole.len()) } else { cut };
            fs::write(desk.path(name), &whole[..cut]).expect("it can be written");
            desk.run(server.grpc(), &resume).well();
            // The line too is the same where it was still there, and nothing was changed since.
            let again = desk.text(name);
            let same = again == text || cut < 128 && desk.rows(name) == rows;
            assert!(same, "{name} cut at {cut} of {}", whole.len());
            desk.run(server.grpc(), &["verify", name]).well();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_whose_client_is_killed_is_gone_on_with() {
    let desk = Desk::new();
    let server = Server::with(&["--store", "memory"]);
    fill(&mut server.client().await, 60, 20).await;
    let begun = |name: &str| fs::metadata(desk.path(name)).is_ok_and(|file| file.len() > 0);
    for (round, name) in ["a.ndjson", "b.ndjson.zst", "c.ndjson.zst"].into_iter().enumerate() {
        let resume = ["dump", "--json", "--resume", "--output", name];
        let mut dumping = desk.spawn(server.grpc(), &resume);
        while !begun(name) && !dumping.has_ended() {
            thread::yield_now();
        }
        dumping.kill();
        desk.run(server.grpc(), &resume).well();
        let found = desk.run(server.grpc(), &["verify", "--json", name]).well();
        assert_eq!(found.count("equal"), desk.rows(name).len() as u64, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_holds_up_a_dump_and_no_more() {
    let desk = Desk::new();
    let server = Server::start();
    fill(&mut server.client().await, 60, 10).await;
    let dumping = desk.spawn(server.grpc(), &["dump", "--json", "--output", "a.ndjson"]);
    // Whenever it dies, before, in or after the dump: the client finds the next one.
    let server = server.kill().await.restart_in_place();
    dumping.ended().well();
    let found = desk.run(server.grpc(), &["verify", "--json", "a.ndjson"]).well();
    assert_eq!(found.count("equal"), desk.rows("a.ndjson").len() as u64);
    assert_eq!(found.count("equal"), 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_gone_on_with_has_what_a_restart_has_put_into_memory_again() {
    let desk = Desk::new();
    // What is in the journal comes to the store when it is due, or when somebody asks for it.
    let server = Server::with(&["--flush-after", "1h"]);
    fill(&mut server.client().await, 3, 4).await;
    let server = server.kill().await.restart();
    let request = ListRequest { user_id: 1, ..ListRequest::default() };
    let listed = server.client().await.list(request).await.expect("it lists");
    let version = listed.into_inner().version;
    let cut = format!("{{\"readstates_dump\":1,\"version\":\"{version}\"}}\n");
    fs::write(desk.path("a.ndjson"), cut).expect("it can be written");
    desk.run(server.grpc(), &["dump", "--resume", "--output", "a.ndjson"]).well();
    assert_eq!(desk.rows("a.ndjson").len(), 12);
    let found = desk.run(server.grpc(), &["verify", "--json", "a.ndjson"]).well();
    assert_eq!(found.count("equal"), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_dump_is_left_alone_however_short_it_is() {
    let desk = Desk::new();
    let server = Server::with(&["--store", "memory"]);
    fill(&mut server.client().await, 1, 1).await;
    let packed = |text: &str| zstd::encode_all(text.as_bytes(), 3).expect("it is packed");
    let newer = "{\"readstates_dump\":2,\"version\":\"7\"}\n";
    for (name, bytes) in [
        ("notes.txt", b"milk, bread\n".to_vec()),
        ("notes", b"x".to_vec()),
        ("brace.json", b"{\"rows\":".to_vec()),
        ("line.ndjson", b"\n".to_vec()),
        ("newer.ndjson", newer.into()),
        ("text.ndjson.zst", b"milk".to_vec()),
        ("packed.zst", packed("milk, bread\n")),
        ("newer.ndjson.zst", packed(newer)),
        ("packed.ndjson", packed("{\"readstates_dump\":1")),
    ] {
        fs::write(desk.path(name), &bytes).expect("it can be written");
        for target in [server.grpc(), "127.0.0.1:1"] {
            let words = ["dump", "--resume", "--retry-for", "0s", "--output", name];
            let refused = desk.run(target, &words);
            assert_eq!(refused.code, 1, "{name}: {}", refused.stderr);
            assert_eq!(fs::read(desk.path(name)).expect("it is there"), bytes, "{name}");
        }
    }
    // The beginning of a dump, or nothing, is gone on with; where nobody answers, it stays.
    let whole = "{\"readstates_dump\":1,\"version\":\"7\"}";
    for (name, bytes) in [
        ("empty.ndjson", vec![]),
        ("empty.ndjson.zst", vec![]),
        ("cut.ndjson", whole[..30].into()),
        ("cut.ndjson.zst", packed(whole)[..30].to_vec()),
    ] {
        fs::write(desk.path(name), &bytes).expect("it can be written");
        let words = ["dump", "--resume", "--retry-for", "0s", "--output", name];
        assert_eq!(desk.run("127.0.0.1:1", &words).code, 69, "{name}");
        assert!(desk.path(name).exists(), "{name} was there before");
        desk.run(server.grpc(), &words).well();
        assert_eq!(desk.rows(name).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_not_dumped() {
    let desk = Desk::new();
    let server = Server::start();
    let mut client = server.client().await;
    fill(&mut client, 3, 3).await;
    let delete = DeleteRequest { user_id: 1, channel_id: 1, ..DeleteRequest::default() };
    client.delete(delete).await.expect("it is deleted");
    client.delete_user(DeleteUserRequest { user_id: 2 }).await.expect("they are deleted");
    assert_eq!(desk.dump(server.grpc(), "a.ndjson").count("rows"), 5);
    // What is deleted after a dump has changed since; a user leaves no tombstones.
    let delete = DeleteRequest { user_id: 1, channel_id: 2, ..DeleteRequest::default() };
    client.delete(delete).await.expect("it is deleted");
    let found = desk.run(server.grpc(), &["verify", "--json", "a.ndjson"]).well();
    assert_eq!((found.count("equal"), found.count("changed_since")), (4, 1));
    client.delete_user(DeleteUserRequest { user_id: 3 }).await.expect("they are deleted");
    let found = desk.run(server.grpc(), &["verify", "--json", "a.ndjson"]);
    assert_eq!((found.code, found.count("missing")), (1, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_goes_to_stdout_too_and_no_file_is_written_over() {
    let desk = Desk::new();
    let server = Server::with(&["--store", "memory"]);
    fill(&mut server.client().await, 2, 2).await;
    let piped = desk.run(server.grpc(), &["dump"]).well();
    fs::write(desk.path("a.ndjson"), &piped.stdout).expect("it can be written");
    desk.run(server.grpc(), &["verify", "a.ndjson"]).well();
    let refused = desk.run(server.grpc(), &["dump", "--output", "a.ndjson"]);
    assert_eq!(refused.code, 64, "{}", refused.stderr);
    assert_eq!(desk.text("a.ndjson"), piped.stdout.as_bytes());
    assert_eq!(desk.run(server.grpc(), &["dump", "--json"]).code, 64);
    assert_eq!(desk.run(server.grpc(), &["dump", "--resume"]).code, 64);
    fs::write(desk.path("notes.txt"), "not a dump\n".repeat(40)).expect("it can be written");
    let refused = desk.run(server.grpc(), &["dump", "--resume", "--output", "notes.txt"]);
    assert!(refused.code == 1 && refused.stderr.contains("notes.txt:1: "), "{}", refused.stderr);
    assert_eq!(fs::read(desk.path("notes.txt")).expect("it is there").len(), 440);
    let words = ["dump", "--retry-for", "0s", "--output", "b.ndjson"];
    assert_eq!(desk.run("127.0.0.1:1", &words).code, 69);
    assert!(!desk.path("b.ndjson").exists(), "it would be in the way of the next try");
}
