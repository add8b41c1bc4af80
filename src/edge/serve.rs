//! One runtime's part of the gRPC port: the connections that were dealt to it.

use std::{sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::{
    select,
    sync::{mpsc::Receiver, watch},
    task::JoinSet,
};

use super::{
    connection::{self, Dealt},
    life::Bounds,
    tls::Tls,
};
use crate::{config::Config, metrics::ConnectionMetrics, rpc::Port};

/// A silent connection is asked for a sign of life this often, and cut without one.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_GRACE: Duration = Duration::from_secs(20);
/// Bytes of request headers at most.
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// Calls that clients may cancel at once before h2 takes it for an attack and cuts the connection.
const PENDING_RESETS_MAX: usize = 1024;
/// Streams that h2 may reset over the whole life of a connection before it takes that for an attack
/// and ends it. A call that is answered before its body is there, and whose body goes on, counts
/// too: in a moment of overload a caller that is told to come back would lose its connection, and
/// the calls on it.
const LOCAL_RESETS_MAX: usize = 1_000_000;

/// Bytes of a stream, and of a connection's streams together, that may wait to be read. A stream
/// that has to wait, as one of `ApplyStream` does while the journal is slow, leaves the others
/// room. And h2 ends a connection where the small frames that wait lack more than half of the
/// connection's window to 256 bytes each: at these sizes a stream may be full of operations of 16
/// bytes.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// What every connection is served with, whichever runtime has it.
pub struct Edge {
    pub(super) port: Port,
    pub(super) http: http2::Builder<TokioExecutor>,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) handshake_timeout: Duration,
    pub(super) bounds: Bounds,
    pub(super) metrics: ConnectionMetrics,
}

impl Edge {
    /// Connections have their calls answered by `port`, and are encrypted where there is `tls`.
    pub fn new(
        config: &Config,
        port: Port,
        tls: Option<Arc<Tls>>,
        metrics: ConnectionMetrics,
    ) -> Arc<Self> {
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .max_concurrent_streams(config.max_concurrent_streams)
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_GRACE)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(LOCAL_RESETS_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            // No caller of gRPC looks at it.
            .auto_date_header(false);
        let handshake_timeout = config.handshake_timeout;
        Arc::new(Self { port, http, tls, handshake_timeout, bounds: Bounds::of(config), metrics })
    }

    /// Serves what is dealt, in the runtime that polls this; once nothing more is, asks every
    /// connection to end and waits for its last call.
    pub async fn serve(self: Arc<Self>, mut dealt: Receiver<Dealt>) {
        let (drain, draining) = watch::channel(false);
        let mut connections = Connections(JoinSet::new());
        loop {
            select! {
                next = dealt.recv() => match next {
                    Some(next) => {
                        let edge = Arc::clone(&self);
                        connections.0.spawn(connection::serve(edge, next, draining.clone()));
                    }
                    None => break,
                },
                Some(_) = connections.0.join_next(), if !connections.0.is_empty() => {}
            }
        }
        drain.send_replace(true);
        while connections.0.join_next().await.is_some() {}
    }
}

/// Goes on where nobody waits for it any more: calls that did not end in time are refused with a
/// reason then, or have one last answer, and are not cut.
struct Connections(JoinSet<()>);

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.detach_all();
    }
}
