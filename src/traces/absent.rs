//! No traces: what a build without the feature `otel` has in their place.

use std::{convert::Infallible, fmt::Display, time::Duration};

use http::HeaderMap;

use crate::metrics::Metrics;

/// How long the end of a server waits for spans to be sent.
pub const STOP_LIMIT: Duration = Duration::ZERO;

/// Traces nothing.
#[derive(Clone, Debug)]
pub struct Tracer;

impl Tracer {
    /// The only one that there is.
    pub fn off() -> Self {
        Self
    }

    /// Whatever the environment asks for.
    pub fn start(_metrics: &Metrics) -> Self {
        Self
    }

    /// A span that is none.
    #[inline]
    pub fn begin(&self, _method: &str, _headers: &HeaderMap) -> CallSpan {
        CallSpan
    }

    /// There is nothing to send.
    #[allow(clippy::unused_async, reason = "the other one waits")]
    pub async fn stop(self) {}
}

/// The span of a call that is not traced.
#[derive(Debug)]
pub struct CallSpan;

impl CallSpan {
    /// Of no trace.
    #[inline]
    pub fn trace_id(&self) -> Option<Infallible> {
        None
    }

    /// Nothing is told.
    #[inline]
    pub fn end(&mut self, _code: i32, _request_id: Option<impl Display>) {}
}
