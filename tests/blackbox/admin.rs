//! The operator's port: probes, and metrics that Prometheus accepts.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use readstates::proto::AckRequest;

use crate::{
    http::{self, get},
    server::Server,
    tool::{text, tool},
};

/// What dashboards and alerts are built on: architecture and README name them.
const METRICS: [&str; 25] = [
    "grpc_server_handled_total",
    "grpc_server_handling_seconds",
    "grpc_server_started_total",
    "process_resident_memory_bytes",
    "readstates_accept_errors_total",
    "readstates_build_info",
    "readstates_cache_bytes",
    "readstates_cache_capacity_entries",
    "readstates_cache_entries",
    "readstates_cache_evictions_total",
    "readstates_cache_hits_total",
    "readstates_cache_misses_total",
    "readstates_coalesced_loads_total",
    "readstates_connections",
    "readstates_dirty_entries",
    "readstates_flush_batches_total",
    "readstates_flush_failures_total",
    "readstates_flush_retries_total",
    "readstates_flush_rows_total",
    "readstates_flush_seconds",
    "readstates_flush_write_running_seconds",
    "readstates_in_flight_requests",
    "readstates_oldest_dirty_age_seconds",
    "readstates_store_errors_total",
    "readstates_store_operation_seconds",
];

/// Each is a round trip.
const SCRAPES_MAX: usize = 100_000;

async fn acked() -> Server {
    let server = Server::start();
    let request = AckRequest { user_id: 1, channel_id: 2, message_id: 3, ..Default::default() };
    server.client().await.ack(request).await.expect("an ack is taken");
    server
}

/// The value of the first sample whose line holds all of these.
pub fn sample(metrics: &str, parts: &[&str]) -> Option<f64> {
    let mut samples = metrics.lines().filter(|line| !line.starts_with('#'));
    let line = samples.find(|line| parts.iter().all(|part| line.contains(part)))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Scrapes until the metrics are as wanted: a call is counted once its answer has left, which may
/// be later than its caller has it.
pub fn scrape_until(server: &Server, wanted: impl Fn(&str) -> bool) -> http::Answer {
    let mut scrapes = (0..SCRAPES_MAX).map(|_| get(server.admin(), "/metrics"));
    let found = scrapes.find(|answer| answer.status != 200 || wanted(&answer.body));
    found.unwrap_or_else(|| panic!("not in {SCRAPES_MAX} scrapes"))
}

#[test]
fn probes_say_alive_and_ready() {
    let server = Server::start();
    for path in ["/livez", "/readyz"] {
        assert_eq!(get(server.admin(), path).status, 200, "{path}");
    }
    assert_eq!(get(server.admin(), "/nothing").status, 404);
}

#[tokio::test]
async fn metrics_have_their_names_and_count() {
    let server = acked().await;
    let handled = ["grpc_server_handled_total{", "grpc_method=\"Ack\"", "grpc_code=\"OK\""];
    let took = ["grpc_server_handling_seconds_count{", "grpc_method=\"Ack\""];
    let counted =
        |metrics: &str| [&handled[..], &took[..]].iter().all(|of| sample(metrics, of) > Some(0.0));
    let http::Answer { status, head, body } = scrape_until(&server, counted);
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for name in METRICS {
        assert!(body.contains(&format!("# TYPE {name} ")), "{name} is missing");
    }
    assert_eq!(sample(&body, &handled), Some(1.0));
    assert_eq!(sample(&body, &took), Some(1.0));
    assert_eq!(sample(&body, &["readstates_cache_entries "]), Some(1.0));
}

#[tokio::test]
async fn promtool_accepts_the_metrics() {
    let Some(promtool) = tool("promtool", "install Prometheus") else { return };
    let server = acked().await;
    let metrics = get(server.admin(), "/metrics").body;
    let mut check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    let mut stdin = check.stdin.take().expect("it is piped");
    stdin.write_all(metrics.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = check.wait_with_output().expect("promtool ends");
    let [stdout, stderr] = text(&output);
    assert!(output.status.success(), "{}: {stdout}{stderr}", output.status);
    assert_eq!((stdout.trim(), stderr.trim()), ("", ""), "it has nothing to remark");
}
