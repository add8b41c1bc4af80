//! Spans that have ended and wait to be sent. The SDK's own queue drops silently; so the bound is
//! kept here, before it, and what is beyond is counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor},
};
use prometheus::IntCounter;
use tracing::warn;

/// How many spans wait. Whoever takes them from the queue takes them off.
pub(super) type Waiting = Arc<AtomicUsize>;

/// Takes what has ended, unless too much waits.
#[derive(Debug)]
pub(super) struct Queue {
    inner: BatchSpanProcessor,
    waiting: Waiting,
    /// As many as `inner` has room for: it never drops anything itself.
    spans_max: usize,
    dropped: IntCounter,
    is_told: AtomicBool,
}

impl Queue {
    pub fn new(
        inner: BatchSpanProcessor,
        waiting: Waiting,
        spans_max: usize,
        dropped: IntCounter,
    ) -> Self {
        Self { inner, waiting, spans_max, dropped, is_told: AtomicBool::new(false) }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < self.spans_max {
            return self.inner.on_end(span);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.dropped.inc();
        if !self.is_told.swap(true, Ordering::Relaxed) {
            warn!(
                spans_max = self.spans_max,
                "spans are dropped: too many wait to be sent. readstates_trace_spans_total counts \
                 them; this is said once"
            );
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(limit)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
