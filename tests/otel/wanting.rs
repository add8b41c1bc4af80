//! When calls are traced at all, and what is said of wishes that cannot be granted.

use std::fs;

use crate::{
    asking::{ack, within},
    collector::Collector,
    http_get::get,
    server::Server,
};

/// How the system cuts the name of the thread that sends.
const THREAD: &str = "OpenTelemetry.T";
const SERIES: &str = "readstates_trace_spans_total";
const TRACED: &str = "calls are traced";

/// A thread names itself a moment after it was made.
const LOOKS_MAX: usize = 100_000;

fn has_thread(server: &Server) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        fs::read_to_string(entry.ok()?.path().join("comm")).ok()
    };
    threads.filter_map(name).any(|name| name.trim() == THREAD)
}

fn has_series(server: &Server) -> bool {
    get(server.admin(), "/metrics").body.contains(SERIES)
}

/// There is all that traces need.
#[track_caller]
fn assert_traced(server: &Server) {
    assert!(has_series(server));
    assert!((0..LOOKS_MAX).any(|_| has_thread(server)));
}

/// There is nothing of it.
#[track_caller]
fn assert_untraced(server: &Server) {
    assert!(!has_series(server) && !has_thread(server));
}

#[tokio::test]
async fn without_an_endpoint_or_where_they_are_switched_off_there_are_no_traces() {
    let mut collector = Collector::start().await;
    let (name, endpoint) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector.endpoint());
    let endpoint = (name, endpoint.as_str());
    let all = ("OTEL_TRACES_SAMPLER", "always_on");
    for variables in [
        &[all][..],
        &[all, endpoint, ("OTEL_SDK_DISABLED", "true")],
        &[all, endpoint, ("OTEL_TRACES_EXPORTER", "none")],
    ] {
        let server = Server::within(variables, &[]);
        server.client().await.ack(within(1, true, ack())).await.expect("an ack is taken");
        assert_untraced(&server);
        let stopped = server.terminate().await;
        assert_eq!(stopped.code, Some(0));
        assert!(!stopped.log.iter().any(|line| line.contains("OTEL_") || line.contains(TRACED)));
    }
    assert!(collector.rest().is_empty());
    let server = Server::within(&[all, endpoint], &[]);
    assert_traced(&server);
    let log = server.terminate().await.log;
    let line = log.iter().find(|line| line.contains(TRACED)).expect("it says so");
    assert!(line.contains("always_on") && line.contains(&collector.endpoint()), "{line}");
}

#[tokio::test]
async fn what_cannot_be_granted_is_told_and_stops_nobody() {
    let wishes = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
    ];
    let server = Server::within(&wishes, &[]);
    server.client().await.ack(ack()).await.expect("an ack is taken");
    assert_traced(&server);
    let log = server.terminate().await.log;
    for (name, value) in &wishes[1..] {
        let is_told =
            |line: &String| line.contains("WARN") && line.contains(name) && line.contains(value);
        assert_eq!(log.iter().filter(|line| is_told(line)).count(), 1, "{name}: {log:#?}");
    }
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://127.0.0.1:9"),
    ] {
        let server = Server::within(&[wishes[0], (name, value)], &[]);
        server.client().await.ack(ack()).await.expect("an ack is taken");
        assert_untraced(&server);
        let log = server.terminate().await.log;
        assert!(log.iter().any(|line| line.contains(name)), "{value}: {log:#?}");
    }
}
