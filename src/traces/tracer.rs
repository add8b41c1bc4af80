//! Begins spans, for as long as the server serves.

use std::{env, sync::Arc, time::Duration};

use http::HeaderMap;
use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{
        SpanBuilder, SpanContext, SpanKind, TraceContextExt as _, TraceFlags, TracerProvider as _,
    },
};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::{
    call_span::CallSpan,
    collector::{Collector, CollectorError},
    environment::{Settings, shown},
    parent::{self, Parent},
    queue::{Queue, Waiting},
    sampling::{Root, Sampling},
};
use crate::metrics::{Metrics, TraceMetrics};

/// How long the end of a server waits for spans to be sent. What is not sent by then is lost.
pub const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What the service is called unless the environment calls it something else.
const SERVICE_NAME: &str = "readstates";

/// Traces calls where the environment asks for it.
#[derive(Clone, Debug)]
pub struct Tracer(Option<Arc<Tracing>>);

#[derive(Debug)]
struct Tracing {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    sampling: Sampling,
    reads_parents: bool,
}

impl Tracer {
    /// One that traces nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// As the variables `OTEL_*` of this process ask for. Whatever is wrong with them is logged,
    /// and at worst nothing is traced. Spans are counted in `metrics`, which can be given once, and
    /// are sent on the runtime that this is called on.
    pub fn start(metrics: &Metrics) -> Self {
        let variable = |name: &str| Some(env::var_os(name)?.to_string_lossy().into_owned());
        let (settings, complaints) = Settings::read(variable);
        for complaint in complaints {
            warn!("{complaint}");
        }
        let Some(settings) = settings else { return Self::off() };
        let started = match metrics.traces() {
            Ok(metrics) => Tracing::start(&settings, metrics).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match started {
            Ok(tracing) => {
                let (endpoint, sampler) = (shown(&settings.endpoint), settings.sampling);
                let queue_spans = settings.queue_spans;
                info!(endpoint, %sampler, queue_spans, "calls are traced");
                Self(Some(Arc::new(tracing)))
            }
            Err(error) => {
                error!(error, "calls are not traced");
                Self::off()
            }
        }
    }

    /// The span of a call of `method` that begins now, in the trace that its `headers` name.
    #[inline]
    pub fn begin(&self, method: &str, headers: &HeaderMap) -> CallSpan {
        match &self.0 {
            Some(tracing) => tracing.begin(method, headers),
            None => CallSpan::NONE,
        }
    }

    /// Sends what has ended, within [`STOP_LIMIT`]. Spans that end later are lost.
    pub async fn stop(self) {
        let Some(tracing) = self.0 else { return };
        let stopped = spawn_blocking(move || tracing.provider.shutdown_with_timeout(STOP_LIMIT));
        if !matches!(stopped.await, Ok(Ok(()))) {
            warn!(limit = ?STOP_LIMIT, "the last spans could not be sent in time");
        }
    }
}

impl Tracing {
    fn start(settings: &Settings, metrics: TraceMetrics) -> Result<Self, CollectorError> {
        let waiting = Waiting::default();
        let dropped = metrics.dropped.clone();
        let collector = Collector::new(settings, Arc::clone(&waiting), metrics)?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(settings.queue_spans)
            .with_max_export_batch_size(settings.batch_spans)
            .with_scheduled_delay(settings.delay)
            .build();
        let batches = BatchSpanProcessor::builder(collector).with_batch_config(batches).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Queue::new(batches, waiting, settings.queue_spans, dropped))
            .with_sampler(sampler(settings.sampling))
            .with_resource(resource())
            .build();
        let version = env!("CARGO_PKG_VERSION");
        let scope = InstrumentationScope::builder(SERVICE_NAME).with_version(version).build();
        Ok(Self {
            tracer: provider.tracer_with_scope(scope),
            provider,
            sampling: settings.sampling,
            reads_parents: settings.reads_parents,
        })
    }

    fn begin(&self, method: &str, headers: &HeaderMap) -> CallSpan {
        let parent = if self.reads_parents { Parent::of(headers) } else { None };
        if !self.sampling.may_take(parent.map(|parent| parent.is_sampled)) {
            return CallSpan::NONE;
        }
        let context = match parent {
            Some(parent) => Context::new().with_remote_span_context(of_caller(parent, headers)),
            None => Context::new(),
        };
        // Named only once it is sampled.
        let span = SpanBuilder::from_name("").with_kind(SpanKind::Server);
        CallSpan::new(span.start_with_context(&self.tracer, &context), method)
    }
}

fn of_caller(parent: Parent, headers: &HeaderMap) -> SpanContext {
    let flags = TraceFlags::default().with_sampled(parent.is_sampled);
    // One that is no such list is as good as none.
    let state = parent::state(headers).parse().unwrap_or_default();
    SpanContext::new(parent.trace_id.into(), parent.span_id.into(), flags, true, state)
}

fn sampler(sampling: Sampling) -> Sampler {
    let root = match sampling.root {
        Root::All => Sampler::AlwaysOn,
        Root::None => Sampler::AlwaysOff,
        Root::Share(share) => Sampler::TraceIdRatioBased(share),
    };
    if sampling.follows { Sampler::ParentBased(Box::new(root)) } else { root }
}

/// Who sends: what the environment says goes before what is known here.
fn resource() -> Resource {
    let known = [
        KeyValue::new("service.name", SERVICE_NAME),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let resource = Resource::builder_empty()
        .with_attributes(known)
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => resource.with_service_name(name).build(),
        _ => resource.build(),
    }
}
