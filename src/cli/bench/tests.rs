//! Whole runs against a fake server, in the process of the test.

use std::{
    future::{pending, ready},
    time::Duration,
};

use tonic::{Code, Status};

use super::*;
use crate::cli::{
    bench::plan::Mix,
    fake::{Fake, Running},
    target::Target,
};

fn around(server: &Running) -> Around {
    let target = Target { url: server.address.to_string(), ..Target::default() };
    Around { fill: false, pid: None, json: false, plot: None, compare: None, target }
}

async fn run(plan: Plan, server: &Running) -> Result<Report, Failure> {
    measure(plan, &around(server), pending()).await
}

fn small() -> Plan {
    Plan { duration_seconds: 0.4, window_seconds: 0.1, connections: 2, ..Plan::small(Mix::Ack) }
}

/// What holds of every report, whatever was measured.
fn assert_adds_up(report: &Report) {
    let sum = |of: fn(&report::Window) -> u64| report.windows.iter().map(of).sum::<u64>();
    assert_eq!(sum(|window| window.calls), report.calls, "{report:#?}");
    assert_eq!(sum(|window| window.operations), report.operations, "{report:#?}");
    assert_eq!(sum(|window| window.errors), report.failed(), "{report:#?}");
    let slowest = report.windows.iter().filter_map(|w| w.latency_us).map(|l| l.max).max();
    assert_eq!(report.latency_us.map(|latency| latency.max), slowest);
}

#[tokio::test]
async fn a_closed_loop_counts_what_the_server_answered() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    let plan = Plan { threads: 2, warm_up_seconds: 0.0, ..small() };
    let report = run(plan, &server).await.unwrap();
    assert_adds_up(&report);
    assert_eq!(report.windows.len(), 4);
    assert_eq!((report.calls, report.operations), (fake.calls(), fake.calls()));
    assert!(report.calls > 0 && report.failed() == 0 && exit(&report) == Exit::Done);
    assert!(report.generator.is_none_or(|generator| generator.cpu_cores > 0.0));
}

#[tokio::test]
async fn a_warm_up_is_played_and_not_counted() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    let plan = Plan { warm_up_seconds: 0.3, duration_seconds: 0.2, ..small() };
    let report = run(plan, &server).await.unwrap();
    assert_adds_up(&report);
    assert!((1..fake.calls()).contains(&report.calls), "{} of {}", report.calls, fake.calls());
}

#[tokio::test]
async fn an_open_loop_sends_what_it_owes() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    let plan = Plan { rate: Some(500.0), threads: 2, concurrency: 200, ..small() };
    let report = run(plan, &server).await.unwrap();
    assert_adds_up(&report);
    assert_eq!((report.calls + report.unsent_calls, report.failed()), (200, 0));
    assert_eq!((fake.calls(), report.calls_per_second_offered), (report.calls, Some(500.0)));
}

/// One caller, and a server that takes 300 ms for one answer: whoever was to be served meanwhile
/// had to wait, and most of 200 calls in 400 ms were.
#[tokio::test]
async fn a_stall_counts_for_all_who_had_to_wait() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    fake.stall(Duration::from_millis(300));
    let plan = Plan { rate: Some(500.0), concurrency: 1, connections: 1, ..small() };
    let report = run(plan, &server).await.unwrap();
    assert_adds_up(&report);
    let latency = report.latency_us.unwrap();
    assert!(latency.max >= 300_000, "{latency:?}");
    assert!(latency.p50 >= 50_000 || report.unsent_calls > 50, "{report:#?}");
}

#[tokio::test]
async fn calls_that_no_caller_was_free_for_are_told() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    fake.stall(Duration::from_millis(600));
    let plan = Plan { rate: Some(100.0), concurrency: 1, connections: 1, ..small() };
    let report = run(plan, &server).await.unwrap();
    assert_adds_up(&report);
    assert_eq!(report.calls + report.unsent_calls, 40);
    assert!(report.calls <= 1 && report.calls == report.late_calls, "{report:#?}");
    assert_eq!(report.calls_per_second, 0.0);
}

#[tokio::test]
async fn batches_count_their_operations() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    let report = run(Plan { batch: 10, ..small() }, &server).await.unwrap();
    assert_adds_up(&report);
    assert!(report.calls > 0);
    assert_eq!((report.calls, report.operations), (fake.calls(), fake.calls() * 10));
}

#[tokio::test]
async fn operations_that_fail_in_a_batch_are_errors() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    // The fake takes acks only.
    let plan = Plan { batch: 10, mix: Mix::Increment, ..small() };
    let report = run(plan, &server).await.unwrap();
    assert_adds_up(&report);
    assert_eq!(report.errors.get("INVALID_ARGUMENT EMPTY"), Some(&(fake.calls() * 10)));
    assert_eq!((report.operations, exit(&report)), (0, Exit::Failed));
}

#[tokio::test]
async fn refused_calls_are_errors_by_their_code() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    fake.fail(vec![Status::aborted("no"), Status::aborted("no"), Status::internal("no")]);
    let report = run(small(), &server).await.unwrap();
    assert_adds_up(&report);
    assert_eq!(report.errors.get("ABORTED"), Some(&2));
    assert_eq!(report.errors.get("INTERNAL"), Some(&1));
    assert_eq!(exit(&report), Exit::Failed);
}

#[tokio::test]
async fn streams_count_every_message_and_its_operations() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    let plan = Plan { stream: true, batch: 5, ..small() };
    let report = run(plan, &server).await.unwrap();
    assert_adds_up(&report);
    assert!(report.calls > 0 && report.failed() == 0, "{report:#?}");
    assert_eq!((report.calls, report.operations), (fake.calls(), fake.calls() * 5));
}

#[tokio::test]
async fn streams_follow_a_schedule_too() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    let plan = Plan { stream: true, rate: Some(500.0), threads: 2, ..small() };
    let report = run(plan, &server).await.unwrap();
    assert_adds_up(&report);
    assert_eq!((report.calls + report.unsent_calls, report.failed()), (200, 0));
}

#[tokio::test]
async fn a_stream_that_breaks_fails_what_was_under_way_and_another_goes_on() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    fake.fail(vec![Status::aborted("no")]);
    let plan = Plan { stream: true, connections: 1, ..small() };
    let report = run(plan, &server).await.unwrap();
    assert_adds_up(&report);
    let aborted = report.errors.get("ABORTED").copied().unwrap_or(0);
    assert!((1..=8).contains(&aborted) && report.calls > 0, "{report:#?}");
    assert_eq!(report.failed(), aborted);
}

#[tokio::test]
async fn a_server_that_serves_no_streams_ends_the_run() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    fake.refuse_streams();
    let plan = Plan { stream: true, threads: 2, duration_seconds: 3_600.0, ..small() };
    let failure = run(plan, &server).await.unwrap_err();
    let Failure::Call(status) = &failure else { panic!("{failure}") };
    assert_eq!((status.code(), failure.exit()), (Code::Unimplemented, Exit::Failed));
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let server = Fake::default().start("127.0.0.1:0");
    let around = around(&server);
    drop(server);
    let failure = measure(Plan { threads: 2, ..small() }, &around, pending()).await.unwrap_err();
    assert_eq!(failure.exit(), Exit::Unavailable);
}

/// Regression: with the port freed, anybody could take it before the server was back (the bench
/// itself too: a connection to a free port of its own machine may reach itself), and a machine
/// that stood still for a second made too few calls.
#[tokio::test]
async fn a_server_that_goes_away_is_an_error_and_not_the_end() {
    let fake = Fake::default();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = fake.serve(port.try_clone().unwrap());
    let half_way = fake.reaches(50);
    let running = around(&server);
    let (back, is_back) = tokio::sync::oneshot::channel();
    let restart = async {
        half_way.await;
        drop(server);
        // Whoever connects meanwhile has a call to make, and it fails.
        let held = tokio::net::TcpListener::from_std(port.try_clone().unwrap()).unwrap();
        drop(held.accept().await.unwrap());
        let enough = fake.reaches(fake.calls() + 50);
        let server = fake.serve(port);
        enough.await;
        back.send(()).unwrap();
        server
    };
    let plan = Plan { duration_seconds: 3_600.0, ..small() };
    let until = async { is_back.await.unwrap() };
    let (report, _server) = tokio::join!(measure(plan, &running, until), restart);
    let report = report.unwrap();
    assert_adds_up(&report);
    assert!(report.failed() > 0 && report.calls > 50, "{report:#?}");
    assert_eq!(exit(&report), Exit::Failed);
}

#[tokio::test]
async fn a_run_that_is_ended_early_reports_what_it_has() {
    let fake = Fake::default();
    let server = fake.start("127.0.0.1:0");
    let enough = fake.reaches(30);
    let plan = Plan { duration_seconds: 3_600.0, ..small() };
    let report = measure(plan.clone(), &around(&server), enough).await.unwrap();
    assert!(report.interrupted && report.calls >= 29, "{report:#?}");
    assert_adds_up(&report);
    // One that waits for its next turn is woken.
    let plan = Plan { rate: Some(0.1), ..plan };
    let report = measure(plan, &around(&server), ready(())).await.unwrap();
    assert!(report.interrupted && report.seconds < 3_000.0, "{report:#?}");
    assert_adds_up(&report);
}
