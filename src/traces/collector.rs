//! Where spans are sent, and what is said of it when that fails: once for each time that it begins
//! to, not for each batch.

use std::{
    fs, io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry_otlp::{SpanExporter as Otlp, WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tracing::{info, warn};

use super::{
    environment::{Settings, TlsFiles},
    queue::Waiting,
};
use crate::metrics::TraceMetrics;

/// Why there can be no connection to a collector.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectorError {
    #[error("{path}: {source}")]
    File { path: String, source: io::Error },
    #[error("{0}")]
    Transport(#[from] tonic::transport::Error),
    #[error("{0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Sends spans, counts them, and tells when it can not.
#[derive(Debug)]
pub(super) struct Collector {
    otlp: Otlp,
    waiting: Waiting,
    metrics: TraceMetrics,
    is_failing: AtomicBool,
}

impl Collector {
    /// Connects once there is something to send, on the runtime that this is called on.
    pub fn new(
        settings: &Settings,
        waiting: Waiting,
        metrics: TraceMetrics,
    ) -> Result<Self, CollectorError> {
        let mut endpoint = Channel::from_shared(settings.endpoint.clone())
            .expect("an endpoint was looked at before")
            .timeout(settings.export_timeout)
            .connect_timeout(settings.export_timeout);
        if let Some(files) = &settings.tls {
            endpoint = endpoint.tls_config(tls(files)?)?;
        }
        // Its headers are those of the environment.
        let otlp = Otlp::builder()
            .with_tonic()
            .with_channel(endpoint.connect_lazy())
            .with_timeout(settings.export_timeout)
            .build()?;
        Ok(Self { otlp, waiting, metrics, is_failing: AtomicBool::new(false) })
    }
}

fn tls(files: &TlsFiles) -> Result<ClientTlsConfig, CollectorError> {
    let read = |path: &String| {
        fs::read(path).map_err(|source| CollectorError::File { path: path.clone(), source })
    };
    let config =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&files.authority)?));
    Ok(match &files.identity {
        Some((cert, key)) => config.identity(Identity::from_pem(read(cert)?, read(key)?)),
        None => config,
    })
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let sent = self.otlp.export(batch).await;
        match &sent {
            Ok(()) => {
                self.metrics.sent.inc_by(spans as u64);
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    info!("the collector takes spans again");
                }
            }
            Err(error) => {
                self.metrics.failed.inc_by(spans as u64);
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    warn!(
                        %error,
                        "spans cannot be sent and are lost until they can; \
                         readstates_trace_spans_total counts them"
                    );
                }
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.otlp.shutdown_with_timeout(limit)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.otlp.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.otlp.set_resource(resource);
    }
}
