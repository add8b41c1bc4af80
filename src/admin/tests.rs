//! The port over real sockets, spoken to in plain HTTP/1.1.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use super::*;
use crate::lifecycle::Phase;

/// A port being served, and the means to end it.
struct Port {
    address: SocketAddr,
    lifecycle: Lifecycle,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<()>>,
}

async fn port(connections_max: usize, lifetime: Duration) -> Port {
    let metrics = Arc::new(Metrics::new().expect("names are valid"));
    port_showing(Some(metrics), connections_max, lifetime).await
}

async fn port_showing(
    metrics: Option<Arc<Metrics>>,
    connections_max: usize,
    lifetime: Duration,
) -> Port {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let lifecycle = Lifecycle::new();
    let (stop, stopped) = oneshot::channel();
    let router = router(metrics, lifecycle.clone());
    let listener = BoundedListener::new(listener, connections_max, lifetime);
    let shutdown = async { stopped.await.unwrap_or_default() };
    let served = tokio::spawn(serve_on(listener, router, shutdown));
    Port { address, lifecycle, stop, served }
}

async fn usual_port() -> Port {
    port(CONNECTIONS_MAX, CONNECTION_LIFETIME).await
}

async fn connect(port: &Port) -> TcpStream {
    TcpStream::connect(port.address).await.expect("it listens")
}

async fn ask(stream: &mut TcpStream, path: &str, connection: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
}

async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it closes in order");
    answer
}

/// The whole answer to one request on a connection of its own.
async fn answer(port: &Port, path: &str) -> String {
    let mut stream = connect(port).await;
    ask(&mut stream, path, "close").await;
    rest(stream).await
}

#[tokio::test]
async fn metrics_come_in_the_text_format() {
    let answer = answer(&usual_port().await, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4\r\n"), "{answer}");
    assert!(answer.contains("\nreadstates_build_info{"), "{answer}");
}

#[tokio::test]
async fn readiness_follows_the_phase_and_liveness_does_not() {
    let port = usual_port().await;
    for (phase, line) in [
        (Phase::Starting, "HTTP/1.1 503 Service Unavailable\r\n"),
        (Phase::Ready, "HTTP/1.1 200 OK\r\n"),
        (Phase::Draining, "HTTP/1.1 503 Service Unavailable\r\n"),
        (Phase::Stopped, "HTTP/1.1 503 Service Unavailable\r\n"),
    ] {
        port.lifecycle.advance(phase);
        let ready = answer(&port, "/readyz").await;
        assert!(ready.starts_with(line), "{phase}: {ready}");
        assert!(ready.ends_with(&format!("\r\n\r\n{phase}\n")), "{ready}");
        let alive = answer(&port, "/livez").await;
        assert!(alive.starts_with("HTTP/1.1 200 OK\r\n"), "{phase}: {alive}");
    }
}

#[tokio::test]
async fn a_suspended_server_is_alive_and_not_ready() {
    let port = usual_port().await;
    port.lifecycle.advance(Phase::Ready);
    port.lifecycle.suspend(true);
    let ready = answer(&port, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{ready}");
    assert!(ready.ends_with("\r\n\r\nsuspended\n"), "{ready}");
    assert!(answer(&port, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
    port.lifecycle.suspend(false);
    assert!(answer(&port, "/readyz").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn the_index_names_every_page_and_the_rest_is_not_found() {
    let port = usual_port().await;
    let index = answer(&port, "/").await;
    for page in ["/metrics", "/livez", "/readyz"] {
        assert!(index.contains(&format!("\n{page} ")), "{index}");
    }
    assert!(answer(&port, "/secrets").await.starts_with("HTTP/1.1 404 Not Found\r\n"));
}

#[tokio::test]
async fn without_metrics_the_probes_stay() {
    let port = port_showing(None, CONNECTIONS_MAX, CONNECTION_LIFETIME).await;
    assert!(answer(&port, "/metrics").await.starts_with("HTTP/1.1 404 Not Found\r\n"));
    assert!(answer(&port, "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
    let index = answer(&port, "/").await;
    assert!(index.contains("/readyz") && !index.contains("/metrics"), "{index}");
}

#[tokio::test]
async fn garbage_is_refused_and_hurts_nobody_else() {
    let port = usual_port().await;
    let mut stream = connect(&port).await;
    stream.write_all(b"\x00\xff not http\r\n\r\n").await.expect("it reads");
    assert!(rest(stream).await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert!(answer(&port, "/livez").await.ends_with("alive\n"));
}

#[tokio::test]
async fn shutdown_ends_it_although_a_peer_stays_silent() {
    let port = usual_port().await;
    let silent = connect(&port).await;
    // Answered means that the silent peer before it was accepted too.
    answer(&port, "/livez").await;
    port.stop.send(()).expect("it waits for this");
    port.served.await.expect("no panic").expect("an orderly end");
    drop(silent);
}

#[tokio::test]
async fn a_connection_ends_with_its_lifetime() {
    let port = port(1, Duration::ZERO).await;
    let mut silent = connect(&port).await;
    let mut byte = [0];
    let read = silent.read(&mut byte).await;
    assert!(matches!(read, Ok(0) | Err(_)), "closed without a word, not {read:?}");
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_place() {
    let port = port(1, CONNECTION_LIFETIME).await;
    let mut first = connect(&port).await;
    ask(&mut first, "/readyz", "keep-alive").await;
    let mut answered = Vec::new();
    while !answered.ends_with(b"starting\n") {
        answered.push(first.read_u8().await.expect("it answers"));
    }
    let mut second = connect(&port).await;
    ask(&mut second, "/readyz", "close").await;
    tokio::task::yield_now().await;
    port.lifecycle.advance(Phase::Ready);
    drop(first);
    assert!(rest(second).await.ends_with("ready\n"));
}
