//! The operator's port: metrics and probes over HTTP, apart from the gRPC port, so that it can stay
//! on a private network and answers when that one is full.

mod listener;
#[cfg(test)]
mod tests;

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};

use crate::{
    lifecycle::Lifecycle,
    metrics::{self, Metrics},
};

use listener::BoundedListener;

/// The most connections at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 64;

/// A connection ends after this long, however slowly its peer writes or reads.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(120);

/// How long answers under way may take once the port shuts down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

const INDEX: &str = "\
readstates, the operator's port

/livez    200 while the process works
/readyz   200 while calls are served
";

/// What the index says besides where metrics are shown.
const INDEX_OF_METRICS: &str = "/metrics  for Prometheus\n";

/// Serves the port on `listener` until `shutdown` ends, and then at most a second longer: a peer
/// that stays silent cannot hold up the end. Without `metrics` it has the probes only.
pub async fn serve(
    listener: TcpListener,
    metrics: Option<Arc<Metrics>>,
    lifecycle: Lifecycle,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = BoundedListener::new(listener, CONNECTIONS_MAX, CONNECTION_LIFETIME);
    serve_on(listener, router(metrics, lifecycle), shutdown).await
}

async fn serve_on(
    listener: BoundedListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (ending, ended) = oneshot::channel();
    let signal = async move {
        shutdown.await;
        // Fails only where nobody waits any more.
        ending.send(()).ok();
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(signal).into_future();
    let too_late = async {
        ended.await.ok();
        sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        served = serving => served,
        () = too_late => Ok(()),
    }
}

fn router(metrics: Option<Arc<Metrics>>, lifecycle: Lifecycle) -> Router {
    let probes = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readiness))
        .with_state(lifecycle);
    match metrics {
        Some(metrics) => probes
            .route("/", get(|| async { format!("{INDEX}{INDEX_OF_METRICS}") }))
            .route("/metrics", get(scrape).with_state(metrics)),
        None => probes.route("/", get(|| async { INDEX })),
    }
}

async fn scrape(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

async fn readiness(State(lifecycle): State<Lifecycle>) -> (StatusCode, String) {
    let state = lifecycle.state();
    let code = if state.serves() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{state}\n"))
}
