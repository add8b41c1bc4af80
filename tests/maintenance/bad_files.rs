//! Files that are no dumps, or damaged ones: refused with file and line, and nothing is loaded.

use std::fs;

use crate::{command::Desk, server::Server, writers::fill};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_dump_is_refused_with_file_and_line_and_nothing_of_it_is_loaded() {
    let desk = Desk::new();
    let server = Server::with(&["--store", "memory"]);
    fill(&mut server.client().await, 2, 5).await;
    desk.dump(server.grpc(), "good.ndjson");
    let text = String::from_utf8(desk.text("good.ndjson")).expect("it is text");
    let lines: Vec<&str> = text.lines().collect();
    let [header, trailer] = [lines[0], lines[11]];
    let with = |place: usize, line: &str| {
        let mut lines = lines.clone();
        lines[place] = line;
        lines.join("\n") + "\n"
    };
    let without = |place: usize| {
        let mut lines = lines.clone();
        lines.remove(place);
        lines.join("\n") + "\n"
    };
    let newer = header.replace("\"readstates_dump\":1", "\"readstates_dump\":2");
    let digit = lines[5].replace("\"last_acked_id\":\"", "\"last_acked_id\":\"1");
    let zero = lines[5].replace("\"user_id\":\"1\"", "\"user_id\":\"0\"");
    let empty = Server::with(&["--store", "memory"]);
    for (what, bad, line) in [
        ("empty", String::new(), 1),
        ("a text", "hello\n".repeat(9), 1),
        ("without a header", without(0), 1),
        ("a newer format", with(0, &newer), 1),
        ("a damaged line", with(4, &lines[4][1..]), 5),
        ("an id of 0", with(5, &zero), 6),
        ("another digit", with(5, &digit), 12),
        ("a line lost", without(5), 11),
        ("a line twice", with(5, lines[4]), 6),
        ("out of order", with(5, lines[7]), 7),
        ("a line of a megabyte", with(5, &"x".repeat(1 << 20)), 6),
        ("more behind the end", text.clone() + lines[3] + "\n", 13),
        ("two in one", text.clone() + &text, 13),
        ("cut", lines[..8].join("\n") + "\n", 9),
        ("cut within a line", text[..text.len() - trailer.len() - 9].to_owned(), 11),
        ("cut before its last byte", text[..text.len() - 1].to_owned(), 12),
    ] {
        fs::write(desk.path("bad.ndjson"), &bad).expect("it can be written");
        for words in [["load", "bad.ndjson"], ["verify", "bad.ndjson"]] {
            let target = if words[0] == "load" { &empty } else { &server };
            let refused = desk.run(target.grpc(), &words);
            let place = format!("bad.ndjson:{line}: ");
            assert_eq!(refused.code, 1, "{what}: {}", refused.stderr);
            assert!(refused.stderr.contains(&place), "{what}, {words:?}: {}", refused.stderr);
        }
        let found = desk.run(empty.grpc(), &["verify", "--json", "good.ndjson"]);
        assert_eq!(found.count("missing"), 10, "{what}");
    }
    assert_eq!(desk.run(empty.grpc(), &["load", "absent.ndjson"]).code, 64);
    // What is there of one that is cut can be had where that is wanted.
    fs::write(desk.path("bad.ndjson"), lines[..8].join("\n")).expect("it can be written");
    let loaded = desk.run(empty.grpc(), &["load", "--json", "--allow-cut", "bad.ndjson"]).well();
    assert_eq!(loaded.count("taken"), 6);
    desk.run(empty.grpc(), &["verify", "--allow-cut", "bad.ndjson"]).well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packed_dump_that_is_not_packed_or_damaged_is_refused() {
    let desk = Desk::new();
    let server = Server::with(&["--store", "memory"]);
    fill(&mut server.client().await, 20, 10).await;
    desk.dump(server.grpc(), "good.ndjson.zst");
    desk.dump(server.grpc(), "plain.ndjson");
    let good = fs::read(desk.path("good.ndjson.zst")).expect("it is there");
    let plain = fs::read(desk.path("plain.ndjson")).expect("it is there");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 4;
    let cut = good[..good.len() - 3].to_vec();
    for (what, bad) in [("not packed", plain), ("a bit flipped", flipped), ("cut", cut)] {
        fs::write(desk.path("bad.ndjson.zst"), bad).expect("it can be written");
        let refused = desk.run(server.grpc(), &["load", "bad.ndjson.zst"]);
        assert_eq!(refused.code, 1, "{what}: {}", refused.stderr);
        assert!(refused.stderr.contains("bad.ndjson.zst:"), "{what}: {}", refused.stderr);
    }
}
