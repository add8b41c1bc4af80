//! Loads: whole, again, broken off, and into servers that have something already.

use std::{fs, thread};

use readstates::proto::{AckRequest, DeleteUserRequest};

use crate::{
    command::{Desk, Ran},
    server::{Client, Server},
    writers::fill,
};

async fn ack(client: &mut Client, user_id: u64, channel_id: u64) {
    let request = AckRequest { user_id, channel_id, message_id: 5_000, ..AckRequest::default() };
    client.ack(request).await.expect("it is acked");
}

fn counts(ran: &Ran) -> (u64, u64) {
    (ran.count("taken"), ran.count("older"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_done_twice_is_one_and_newer_states_stay() {
    let desk = Desk::new();
    let source = Server::with(&["--store", "memory"]);
    fill(&mut source.client().await, 30, 10).await;
    desk.dump(source.grpc(), "a.ndjson");
    // Few places for dirty states: a load waits for the store, as every change does.
    let target = Server::with(&["--cache-entries", "100", "--shards", "2", "--dirty-limit", "20"]);
    let mut client = target.client().await;
    ack(&mut client, 1, 1).await;
    ack(&mut client, 31, 1).await;
    assert_eq!(counts(&desk.load(target.grpc(), "a.ndjson")), (299, 1));
    assert_eq!(counts(&desk.load(target.grpc(), "a.ndjson")), (0, 300));
    let found = desk.run(target.grpc(), &["verify", "--json", "a.ndjson"]).well();
    assert_eq!((found.count("equal"), found.count("changed_since")), (299, 2));
    desk.run(target.grpc(), &["verify"]).well();
    // Over a cache that is full of the states before, and by way of the store.
    ack(&mut client, 2, 2).await;
    let target = target.terminate().await.restart();
    assert_eq!(counts(&desk.load(target.grpc(), "a.ndjson")), (0, 300));
    let found = desk.run(target.grpc(), &["verify", "--json", "a.ndjson"]).well();
    assert_eq!((found.count("equal"), found.count("changed_since")), (298, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_deleted_since_does_not_come_back() {
    let desk = Desk::new();
    let source = Server::with(&["--store", "memory"]);
    fill(&mut source.client().await, 3, 4).await;
    desk.dump(source.grpc(), "a.ndjson");
    let target = Server::start();
    let mut client = target.client().await;
    client.delete_user(DeleteUserRequest { user_id: 2 }).await.expect("they are deleted");
    assert_eq!(counts(&desk.load(target.grpc(), "a.ndjson")), (8, 4));
    // The mark is only in the store now.
    let target = target.terminate().await.restart();
    assert_eq!(counts(&desk.load(target.grpc(), "a.ndjson")), (0, 12));
    let found = desk.run(target.grpc(), &["verify", "--json", "a.ndjson"]);
    assert_eq!((found.code, found.count("equal"), found.count("missing")), (1, 8, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_whose_client_or_server_is_killed_is_gone_on_with() {
    let desk = Desk::new();
    let source = Server::with(&["--store", "memory"]);
    fill(&mut source.client().await, 200, 20).await;
    let rows = desk.dump(source.grpc(), "a.ndjson.zst").count("rows");
    let target = Server::start();
    let words = ["load", "--json", "--resume", "--concurrency", "1", "a.ndjson.zst"];
    let noted = || desk.path("a.ndjson.zst.progress").exists();
    let wait_until_noted = |running: &mut crate::command::Running| {
        while !noted() && !running.has_ended() {
            thread::yield_now();
        }
    };
    let mut loading = desk.spawn(target.grpc(), &words);
    wait_until_noted(&mut loading);
    loading.kill();
    let mut loading = desk.spawn(target.grpc(), &words);
    wait_until_noted(&mut loading);
    let target = target.kill().await.restart_in_place();
    loading.ended().well();
    assert!(!noted(), "it stays until all is loaded, and no longer");
    let found = desk.run(target.grpc(), &["verify", "--json", "a.ndjson.zst"]).well();
    assert_eq!(found.count("equal"), rows);
    let target = target.kill().await.restart();
    desk.run(target.grpc(), &["verify", "a.ndjson.zst"]).well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_load_sends_only_what_is_not_there() {
    let desk = Desk::new();
    let source = Server::with(&["--store", "memory"]);
    fill(&mut source.client().await, 30, 10).await;
    desk.dump(source.grpc(), "a.ndjson");
    let target = Server::with(&["--store", "memory"]);
    let text = String::from_utf8(desk.text("a.ndjson")).expect("it is text");
    let lines: Vec<&str> = text.lines().collect();
    let trailer: serde_json::Value = serde_json::from_str(lines[301]).expect("JSON");
    let header: serde_json::Value = serde_json::from_str(lines[0]).expect("JSON");
    let progress = serde_json::json!({
        "version": header["version"],
        "crc32c": trailer["crc32c"],
        "target": format!("http://{}", target.grpc()),
        "rows": 250,
    });
    let noted = desk.path("a.ndjson.progress");
    fs::write(&noted, progress.to_string()).expect("it can be written");
    let resumed = desk.run(target.grpc(), &["load", "--json", "--resume", "a.ndjson"]).well();
    assert_eq!(counts(&resumed), (50, 0));
    fs::write(&noted, progress.to_string()).expect("it can be written");
    assert_eq!(counts(&desk.load(target.grpc(), "a.ndjson")), (250, 50), "without --resume");
}
