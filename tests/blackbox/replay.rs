//! A real chat, played against the built program in every way that must not change the outcome, and
//! compared row by row with an independently computed truth.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    admin::sample,
    http,
    server::{Server, program},
};

/// Rows of the truth: see tests/data/README.md.
const ROWS: u64 = 7_603;
const MESSAGES: u64 = 145_655;
/// Acks after which a server is restarted: the chat is under way and far from its end.
const RESTART_AFTER: f64 = 30_000.0;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn replay(server: &Server, flags: &[&str]) -> Command {
    let mut command = program(Path::new("."));
    command
        .arg("replay")
        .arg(data("chat-fcc-train.csv.zst"))
        .args(["--json", "--target", &format!("http://{}", server.grpc()), "--verify"])
        .arg(data("truth-fcc-train.csv.zst"))
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn assert_equal_to_truth(output: &Output) -> Value {
    let report = report(output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let verified = &report["verified"];
    assert_eq!(verified["equal"], ROWS, "{report:#}");
    for wrong in ["differ", "missing", "unexpected"] {
        assert_eq!(verified[wrong], 0, "{report:#}");
    }
    report
}

fn play(server: &Server, flags: &[&str]) -> Value {
    assert_equal_to_truth(&replay(server, flags).output().expect("the program runs"))
}

#[tokio::test]
async fn a_chat_in_its_order_ends_as_the_truth_has_it() {
    let server = Server::start();
    let report = play(&server, &[]);
    assert_eq!(report["played"]["acks"], MESSAGES, "{report:#}");
    let stopped = server.terminate().await;
    assert_eq!(stopped.code, Some(0), "{:?}", stopped.log);
    play(&stopped.restart(), &["--verify-only"]);
}

#[tokio::test]
async fn a_chat_shuffled_with_duplicates_and_without_room_ends_as_the_truth_has_it() {
    let server = Server::with(&["--cache-entries", "2000", "--flush-after", "1s"]);
    let playing = replay(&server, &["--shuffle", "7", "--duplicate", "0.1"])
        .spawn()
        .expect("the program runs");
    let (server, output) = restarted_under(server, playing).await;
    let report = assert_equal_to_truth(&output);
    assert!(report["played"]["duplicates"].as_u64() > Some(MESSAGES / 20), "{report:#}");
    let stopped = server.terminate().await;
    assert_eq!(stopped.code, Some(0), "{:?}", stopped.log);
    play(&stopped.restart(), &["--verify-only"]);
}

/// Ends the server in the middle of what is playing, and starts it again at the same address.
async fn restarted_under(server: Server, mut playing: Child) -> (Server, Output) {
    while acks(&server) < RESTART_AFTER {
        let ended = playing.try_wait().expect("the child can be asked");
        assert!(ended.is_none(), "the replay ended before the restart: {ended:?}");
    }
    let stopped = server.terminate().await;
    assert_eq!(stopped.code, Some(0), "{:?}", stopped.log);
    let server = stopped.restart_in_place();
    let output = tokio::task::spawn_blocking(move || playing.wait_with_output()).await;
    (server, output.expect("waiting does not panic").expect("the child can be waited for"))
}

fn acks(server: &Server) -> f64 {
    let metrics = http::get(server.admin(), "/metrics").body;
    let parts = ["grpc_server_handled_total", "\"Ack\"", "\"OK\""];
    sample(&metrics, &parts).expect("acks are counted")
}

#[tokio::test]
async fn a_row_that_is_wrong_is_found() {
    let server = Server::start();
    let output = replay(&server, &["--verify-only"]).output().expect("the program runs");
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report:#}");
    assert_eq!(report["verified"]["missing"], ROWS, "{report:#}");
}
