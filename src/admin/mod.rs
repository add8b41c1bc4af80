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

/metrics  for Prometheus
/livez    200 while the process works
/readyz   200 while calls are served
";

#[derive(Clone)]
struct Watched {
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
}

/// Serves the port on `listener` until `shutdown` ends, and then at most a second longer: a peer
/// that stays silent cannot hold up the end.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
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

fn router(metrics: Arc<Metrics>, lifecycle: Lifecycle) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(scrape))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(readiness))
        .with_state(Watched { metrics, lifecycle })
}

async fn scrape(State(watched): State<Watched>) -> Response {
    match watched.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

async fn readiness(State(watched): State<Watched>) -> (StatusCode, String) {
    let state = watched.lifecycle.state();
    let code = if state.serves() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{state}\n"))
}
