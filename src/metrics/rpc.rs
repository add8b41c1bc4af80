//! Calls by method, under the names of go-grpc-middleware.

use std::{collections::HashMap, sync::Arc, time::Duration};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{MetricsError, family};

/// From the cheapest cached call to a scan that ought to worry someone.
const BUCKETS_SECONDS: [f64; 16] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5,
];

/// The names of the gRPC codes, by number, spelled as other servers' metrics spell them.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// The code that stands for numbers that are none.
const UNKNOWN_CODE: usize = 2;

/// How many messages go which way in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallType {
    /// One each way.
    Unary,
    /// One in, many out.
    ServerStream,
    /// Many each way.
    BidiStream,
}

impl CallType {
    fn label(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::ServerStream => "server_stream",
            Self::BidiStream => "bidi_stream",
        }
    }
}

/// A service's name and its methods.
type Service = (&'static str, &'static [(&'static str, CallType)]);

/// Every method that is served. All others share one entry, so that callers cannot make series.
pub(super) const SERVICES: [Service; 5] = [
    (
        "readstates.v1.ReadStatesService",
        &[
            ("Ack", CallType::Unary),
            ("Increment", CallType::Unary),
            ("Reset", CallType::Unary),
            ("MarkUnread", CallType::Unary),
            ("AckPins", CallType::Unary),
            ("Retract", CallType::Unary),
            ("FanOut", CallType::Unary),
            ("Get", CallType::Unary),
            ("BatchGet", CallType::Unary),
            ("List", CallType::Unary),
            ("GetSummary", CallType::Unary),
            ("BulkAck", CallType::Unary),
            ("Restore", CallType::Unary),
            ("Delete", CallType::Unary),
            ("DeleteUser", CallType::Unary),
            ("DeleteChannel", CallType::Unary),
            ("Apply", CallType::Unary),
            ("ApplyStream", CallType::BidiStream),
            ("Watch", CallType::ServerStream),
        ],
    ),
    (
        "grpc.health.v1.Health",
        &[("Check", CallType::Unary), ("List", CallType::Unary), ("Watch", CallType::ServerStream)],
    ),
    ("grpc.reflection.v1.ServerReflection", &[("ServerReflectionInfo", CallType::BidiStream)]),
    ("grpc.reflection.v1alpha.ServerReflection", &[("ServerReflectionInfo", CallType::BidiStream)]),
    (
        "readstates.v1.MaintenanceService",
        &[
            ("Dump", CallType::ServerStream),
            ("Load", CallType::Unary),
            ("Verify", CallType::ServerStream),
        ],
    ),
];

/// The metrics of one method.
#[derive(Debug)]
pub struct RpcMetrics {
    name: String,
    started: IntCounter,
    handled: [IntCounter; CODES.len()],
    seconds: Histogram,
}

impl RpcMetrics {
    /// Service and method, such as `readstates.v1.ReadStatesService/Ack`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts a call that came in.
    pub fn start(&self) {
        self.started.inc();
    }

    /// Counts a call that ended after `elapsed` with the gRPC code of that number.
    pub fn finish(&self, code: i32, elapsed: Duration) {
        let code = usize::try_from(code).ok().filter(|code| *code < CODES.len());
        self.handled[code.unwrap_or(UNKNOWN_CODE)].inc();
        self.seconds.observe(elapsed.as_secs_f64());
    }
}

/// The metrics of every method, by the path of its calls.
#[derive(Debug)]
pub struct RpcTable {
    methods: HashMap<String, Arc<RpcMetrics>>,
    unknown: Arc<RpcMetrics>,
}

impl RpcTable {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let families = Families::new(registry)?;
        let mut methods = HashMap::new();
        for (service, names) in SERVICES {
            for (method, call_type) in names {
                let metrics = families.method(service, method, call_type.label())?;
                methods.insert(format!("/{service}/{method}"), Arc::new(metrics));
            }
        }
        let unknown = Arc::new(families.method("unknown", "unknown", "unary")?);
        Ok(Self { methods, unknown })
    }

    /// The metrics of the method at `path`, such as `/readstates.v1.ReadStatesService/Ack`.
    pub fn method(&self, path: &str) -> &Arc<RpcMetrics> {
        self.methods.get(path).unwrap_or(&self.unknown)
    }
}

struct Families {
    started: IntCounterVec,
    handled: IntCounterVec,
    seconds: HistogramVec,
}

impl Families {
    fn new(registry: &Registry) -> Result<Self, MetricsError> {
        const METHOD: [&str; 3] = ["grpc_type", "grpc_service", "grpc_method"];
        Ok(Self {
            started: family::counters(
                registry,
                "grpc_server_started_total",
                "Calls that came in.",
                &METHOD,
            )?,
            handled: family::counters(
                registry,
                "grpc_server_handled_total",
                "Calls that ended, by code.",
                &["grpc_type", "grpc_service", "grpc_method", "grpc_code"],
            )?,
            seconds: family::histograms(
                registry,
                "grpc_server_handling_seconds",
                "Time from a call's arrival to its end.",
                &METHOD,
                &BUCKETS_SECONDS,
            )?,
        })
    }

    fn method(
        &self,
        service: &str,
        method: &str,
        call_type: &str,
    ) -> Result<RpcMetrics, MetricsError> {
        let labels = [call_type, service, method];
        let mut handled = Vec::with_capacity(CODES.len());
        for code in CODES {
            let labels = [call_type, service, method, code];
            handled.push(self.handled.get_metric_with_label_values(&labels)?);
        }
        Ok(RpcMetrics {
            name: format!("{service}/{method}"),
            started: self.started.get_metric_with_label_values(&labels)?,
            handled: handled.try_into().expect("one counter was made per code"),
            seconds: self.seconds.get_metric_with_label_values(&labels)?,
        })
    }
}
