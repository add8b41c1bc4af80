//! Collectors that fail: no call notices, and the end of the server waits for them for a bounded
//! time only.

use std::net::TcpListener;

use tokio::net::TcpSocket;

use crate::{
    asking::{ack, within},
    http_get::get,
    server::{Server, Stopped},
};

/// More than any test takes: whoever waits for it waits for too long.
const HOUR_MS: &str = "3600000";
const SCRAPES_MAX: usize = 100_000;

fn spans(server: &Server, outcome: &str) -> u64 {
    let series = format!("readstates_trace_spans_total{{outcome=\"{outcome}\"}} ");
    let metrics = get(server.admin(), "/metrics").body;
    let count = metrics.lines().find_map(|line| line.strip_prefix(&series));
    count.expect("it is shown").parse().expect("a number")
}

/// Lines of its log with these words.
fn told(stopped: &Stopped, words: &str) -> usize {
    stopped.log.iter().filter(|line| line.contains(words)).count()
}

#[tokio::test]
async fn one_that_never_answers_holds_up_neither_calls_nor_the_end() {
    // The system takes connections for it; nobody ever reads of them.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", silent.local_addr().expect("it is bound"));
    let server = Server::within(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", HOUR_MS),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
        ],
        &[],
    );
    let mut client = server.client().await;
    for _ in 0..100 {
        client.ack(within(1, true, ack())).await.expect("an ack is taken");
    }
    // At most one batch is on its way and one queue waits; the last call may not have ended yet.
    let dropped = (0..SCRAPES_MAX).map(|_| spans(&server, "dropped")).find(|count| *count >= 88);
    assert!(dropped.is_some_and(|count| count <= 92), "{dropped:?}");
    drop(client);
    let stopped = server.terminate().await;
    assert_eq!(stopped.code, Some(0));
    assert_eq!(told(&stopped, "spans are dropped"), 1, "{:#?}", stopped.log);
    assert_eq!(told(&stopped, "the last spans could not be sent in time"), 1);
}

#[tokio::test]
async fn one_that_is_not_there_is_told_once() {
    // Bound, so that nobody else is there either, and not listening.
    let absent = TcpSocket::new_v4().expect("a socket");
    absent.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let endpoint = format!("http://{}", absent.local_addr().expect("it is bound"));
    let server = Server::within(
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")],
        &[],
    );
    let mut client = server.client().await;
    for _ in 0..3 {
        client.ack(within(1, true, ack())).await.expect("an ack is taken");
    }
    let failed = (0..SCRAPES_MAX).map(|_| spans(&server, "failed")).find(|count| *count >= 2);
    assert!(failed.is_some());
    drop(client);
    let stopped = server.terminate().await;
    assert_eq!(stopped.code, Some(0));
    assert_eq!(told(&stopped, "spans cannot be sent"), 1, "{:#?}", stopped.log);
}
