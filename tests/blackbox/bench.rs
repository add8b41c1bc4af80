//! `readstates bench` as its users run it, against the built server: what it reports, what it
//! leaves behind, and how it exits.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use readstates::proto::{GetSummaryRequest, ListRequest};
use serde_json::Value;

use crate::{
    admin::{sample, scrape_until},
    http,
    server::{Server, program},
};

const SMALL: [&str; 8] =
    ["--users", "20", "--channels", "5", "--warm-up", "0s", "--window", "100ms"];

fn bench(server: &Server, flags: &[&str]) -> Command {
    let mut command = program(server.home.data_dir().parent().expect("it is in a directory"));
    command
        .arg("bench")
        .args(["--target", &format!("http://{}", server.grpc())])
        .args(SMALL)
        .args(if flags.contains(&"--duration") { &[][..] } else { &["--duration", "500ms"] })
        .args(flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

async fn finish(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.expect("waiting does not panic").expect("the program runs")
}

fn report(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Runs to its end, which must be a good one.
async fn measured(server: &Server, flags: &[&str]) -> Value {
    let output = finish(bench(server, &[flags, &["--json"]].concat())).await;
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["errors"], serde_json::json!({}), "{report:#}");
    assert!(report["calls"].as_u64() > Some(0), "{report:#}");
    report
}

/// Calls of this method that the server has answered.
fn answered(server: &Server, method: &str) -> f64 {
    count(&http::get(server.admin(), "/metrics").body, method)
}

fn count(metrics: &str, method: &str) -> f64 {
    let method = format!("\"{method}\"");
    // Health has a List of its own.
    let parts = ["grpc_server_handled_total", "v1.ReadStatesService", &method, "\"OK\""];
    sample(metrics, &parts).unwrap_or(0.0)
}

/// A call is counted once its answer has left, which may be later than its caller has it.
fn assert_answered(server: &Server, method: &str, report: &Value) {
    let calls = report["calls"].as_f64().expect("it is a number");
    scrape_until(server, |metrics| count(metrics, method) >= calls);
    assert!((answered(server, method) - calls).abs() < 0.5, "{method}: {report:#}");
}

async fn mentions(server: &Server) -> u64 {
    let request = GetSummaryRequest { user_ids: (1..=20).collect() };
    let answer = server.client().await.get_summary(request).await.expect("it answers");
    answer.into_inner().summaries.iter().map(|user| u64::from(user.mention_count)).sum()
}

#[tokio::test]
async fn what_it_counts_is_what_the_server_did() {
    let server = Server::start();
    let acks = measured(&server, &["--fill", "--pid", &server.pid().to_string()]).await;
    assert_answered(&server, "Ack", &acks);
    if cfg!(target_os = "linux") {
        assert!(acks["server"]["rss_bytes_max"].as_u64() > Some(0), "{acks:#}");
        assert!(acks["generator"]["cpu_cores"].as_f64() > Some(0.0), "{acks:#}");
    }
    let mut client = server.client().await;
    let listed = client.list(ListRequest { user_id: 20, ..Default::default() }).await;
    let states = listed.expect("it answers").into_inner().states;
    assert_eq!(states.len(), 5, "all keys were made resident");
    assert_eq!(mentions(&server).await, 0);
}

#[tokio::test]
async fn mentions_are_all_counted_whatever_they_came_in() {
    let server = Server::start();
    let calls = measured(&server, &["--mix", "increment"]).await;
    let batches = measured(&server, &["--mix", "increment", "--batch", "7", "--rate", "200"]).await;
    let fan_outs =
        measured(&server, &["--mix", "fanout", "--members", "20", "--concurrency", "4"]).await;
    let counted: u64 =
        [&calls, &batches, &fan_outs].iter().filter_map(|r| r["operations"].as_u64()).sum();
    assert_eq!(mentions(&server).await, counted);
}

#[tokio::test]
async fn streams_count_as_calls_do() {
    let server = Server::start();
    let report = measured(&server, &["--stream", "--mix", "increment", "--batch", "7"]).await;
    assert_eq!(report["operations"], mentions(&server).await, "{report:#}");
}

#[tokio::test]
async fn health_checks_are_checks_and_change_nothing() {
    let server = Server::start();
    let checks = measured(&server, &["--mix", "health"]).await;
    assert!(checks["calls"].as_u64() > Some(0), "{checks:#}");
    assert_eq!((answered(&server, "Ack"), mentions(&server).await), (0.0, 0));
    let calls = checks["calls"].as_f64().expect("it is a number");
    let handled = ["grpc_server_handled_total", "grpc.health.v1.Health", "\"Check\"", "\"OK\""];
    scrape_until(&server, |metrics| sample(metrics, &handled) >= Some(calls));
}

#[tokio::test]
async fn chats_and_sign_ins_are_answered() {
    let server = Server::start();
    measured(&server, &["--mix", "chat", "--fill"]).await;
    assert!(answered(&server, "Ack") > answered(&server, "FanOut"));
    let sign_ins = measured(&server, &["--mix", "signin", "--threads", "2"]).await;
    assert_answered(&server, "List", &sign_ins);
}

/// Where the server stops for a while, an open loop tells of everybody who would have had to wait,
/// and not only of the four calls that were under way.
#[tokio::test]
async fn a_server_that_stops_for_a_while_is_seen_in_the_percentiles() {
    let server = Server::start();
    let flags = ["--json", "--rate", "200", "--concurrency", "4", "--duration", "4s"];
    let running = bench(&server, &flags).spawn().expect("the program runs");
    while answered(&server, "Ack") < 1.0 {
        tokio::task::yield_now().await;
    }
    let stop = format!("kill -s STOP {0}; sleep 2; kill -s CONT {0}", server.pid());
    let mut stopping = Command::new("sh").arg("-c").arg(stop).spawn().expect("there is a shell");
    let output = tokio::task::spawn_blocking(move || running.wait_with_output()).await;
    let output = output.expect("waiting does not panic").expect("the child can be waited for");
    stopping.wait().expect("the child can be waited for");
    let report = report(&output);
    // Half of the run it stood still: a quarter of all waited for a second or more.
    assert!(report["latency_us"]["p90"].as_u64() > Some(500_000), "{report:#}");
    assert_eq!(output.status.code(), Some(0), "{report:#}");
}

#[tokio::test]
async fn the_picture_and_the_comparison_are_of_what_was_measured() {
    let server = Server::start();
    let home = server.home.data_dir().parent().expect("it is in a directory").to_owned();
    for name in ["a.json", "b.json"] {
        let output = finish(bench(&server, &["--json", "--plot", "one.svg"])).await;
        fs::write(home.join(name), output.stdout).expect("there is room");
    }
    let mut compare = program(&home);
    compare.args(["bench", "--compare", "a.json", "b.json", "--plot", "two.svg"]);
    let output = finish(compare).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("p99.9 ms"), "{text}");
    for (name, lines) in [("one.svg", 4), ("two.svg", 8)] {
        let picture = fs::read_to_string(home.join(name)).expect("it was written");
        let drawn = picture.lines().filter(|line| line.matches(" L").count() == 4).count();
        // The frame of the plot has as many corners as a run has windows.
        assert_eq!(drawn, lines + 1, "{picture}");
    }
}

#[tokio::test]
async fn one_that_is_interrupted_reports_what_it_has() {
    let server = Server::start();
    let running = bench(&server, &["--json", "--duration", "1h", "--rate", "100"])
        .spawn()
        .expect("the program runs");
    while answered(&server, "Ack") < 10.0 {
        tokio::task::yield_now().await;
    }
    let kill = Command::new("sh").arg("-c").arg(format!("kill -s INT {}", running.id())).status();
    assert!(kill.expect("there is a shell").success());
    let output = tokio::task::spawn_blocking(move || running.wait_with_output()).await;
    let output = output.expect("waiting does not panic").expect("the child can be waited for");
    let report = report(&output);
    assert_eq!((output.status.code(), &report["interrupted"]), (Some(0), &Value::Bool(true)));
    assert!(report["calls"].as_u64() >= Some(9), "{report:#}");
}

#[tokio::test]
async fn exits_tell_errors_from_bad_usage_and_an_absent_server() {
    let server = Server::with(&["--max-items", "10"]);
    let refused = finish(bench(&server, &["--batch", "11"])).await;
    let text = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("INVALID_ARGUMENT TOO_MANY_ITEMS"), "{text}");
    for flags in [&["--threads", "9"][..], &["--compare", "a.json", "nothing.json"]] {
        assert_eq!(finish(bench(&server, flags)).await.status.code(), Some(64), "{flags:?}");
    }
    let command = bench(&server, &[]);
    let stopped = server.terminate().await;
    assert_eq!(stopped.code, Some(0), "{:?}", stopped.log);
    assert_eq!(finish(command).await.status.code(), Some(69));
}
