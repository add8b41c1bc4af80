//! What a run came to: kept as JSON, so that runs can be compared later. Fields are only ever
//! added; README.md tells what each means.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use crate::cli::{failure::Failure, latency::Latency};

/// Of the files that this program writes and reads.
const FORMAT: u32 = 1;

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`]
    pub format: u32,
    /// The program's.
    pub version: String,
    /// When the report was made, in RFC 3339.
    pub ended_at: String,
    /// The load.
    pub plan: Plan,
    /// Whether the user ended it early.
    pub interrupted: bool,
    /// How long was measured.
    pub seconds: f64,
    /// Calls answered, late ones included.
    pub calls: u64,
    /// Operations done, late ones included.
    pub operations: u64,
    /// Calls answered only after the end, which are in no rate.
    pub late_calls: u64,
    /// Calls a second that were to be sent; only of an open loop.
    pub calls_per_second_offered: Option<f64>,
    /// Calls answered a second.
    pub calls_per_second: f64,
    /// Operations done a second.
    pub operations_per_second: f64,
    /// Calls of an open loop never sent, because as many as may be were under way.
    pub unsent_calls: u64,
    /// Operations that failed, by what went wrong.
    pub errors: BTreeMap<String, u64>,
    /// How long answers took, of an open loop from when the call was meant to be sent.
    pub latency_us: Option<Quantiles>,
    /// How long the same answers of an open loop took from when the call was sent.
    pub service_us: Option<Quantiles>,
    /// How late calls of an open loop were sent that a caller waited for.
    pub lag_us: Option<Quantiles>,
    /// What the generator used.
    pub generator: Option<Generator>,
    /// What the server used, where its process is known.
    pub server: Option<Server>,
    /// Window by window.
    pub windows: Vec<Window>,
}

/// What this process used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// Processors, in the mean.
    pub cpu_cores: f64,
}

/// What the server's process used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Processors, in the mean.
    pub cpu_cores: f64,
    /// Processor time for each call that was answered.
    pub cpu_us_per_call: Option<f64>,
    /// Processor time for each operation that was done.
    pub cpu_us_per_operation: Option<f64>,
    /// Resident memory, at most.
    pub rss_bytes_max: u64,
}

/// One window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Where it begins, from where measuring began.
    pub at_seconds: f64,
    /// How long it is.
    pub seconds: f64,
    /// Calls answered in it.
    pub calls: u64,
    /// Operations done in it.
    pub operations: u64,
    /// Operations that failed in it.
    pub errors: u64,
    /// Of the calls answered in it.
    pub latency_us: Option<Quantiles>,
    /// Processors that the server used.
    pub server_cpu_cores: Option<f64>,
    /// The server's resident memory, at its end.
    pub server_rss_bytes: Option<u64>,
}

/// What so many of all calls stayed within, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half of them.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// 999 of a thousand.
    #[serde(rename = "p99.9")]
    pub p999: u64,
    /// 9,999 of ten thousand.
    #[serde(rename = "p99.99")]
    pub p9999: u64,
    /// All.
    pub max: u64,
}

impl Quantiles {
    /// Of `latency`; nothing of no call.
    pub fn of(latency: &Latency) -> Option<Self> {
        let [p50, p90, p99, p999, p9999, max] =
            [0.5, 0.9, 0.99, 0.999, 0.9999, 1.0].map(|quantile| latency.quantile_us(quantile));
        (latency.count() > 0).then_some(Self { p50, p90, p99, p999, p9999, max })
    }

    /// With their names, from small to large.
    pub fn named(&self) -> [(&'static str, u64); 6] {
        let Self { p50, p90, p99, p999, p9999, max } = *self;
        [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("p99.99", p9999), ("max", max)]
    }
}

impl Report {
    /// A report of `plan` without anything measured.
    pub fn empty(plan: Plan) -> Self {
        let ended_at = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ended_at: ended_at.to_string(),
            plan,
            interrupted: false,
            seconds: 0.0,
            calls: 0,
            operations: 0,
            late_calls: 0,
            calls_per_second_offered: None,
            calls_per_second: 0.0,
            operations_per_second: 0.0,
            unsent_calls: 0,
            errors: BTreeMap::new(),
            latency_us: None,
            service_us: None,
            lag_us: None,
            generator: None,
            server: None,
            windows: Vec::new(),
        }
    }

    /// Reads one that was written with `--json`.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bad = |error: String| {
            let path = path.display();
            Failure::Usage(format!("{path} is no report of bench --json: {error}"))
        };
        let text = std::fs::read(path).map_err(|error| bad(error.to_string()))?;
        let report: Self = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        if report.format != FORMAT {
            return Err(bad(format!("format {} is not {FORMAT}", report.format)));
        }
        Ok(report)
    }

    /// Operations that failed.
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::plan::Mix, *};
    use crate::cli::failure::Exit;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        let quantiles = Quantiles { p50: 1, p90: 2, p99: 3, p999: 4, p9999: 5, max: 6 };
        let window = Window {
            at_seconds: 1.0,
            seconds: 0.5,
            calls: 3,
            operations: 4,
            errors: 1,
            latency_us: Some(quantiles),
            server_cpu_cores: Some(0.25),
            server_rss_bytes: Some(7),
        };
        let report = Report {
            errors: BTreeMap::from([("ABORTED".to_owned(), 1)]),
            latency_us: Some(quantiles),
            windows: vec![window],
            ..Report::empty(Plan::small(Mix::Chat))
        };
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["latency_us"]["p99.99"], 5);
        assert_eq!(json["plan"]["mix"], "chat");
        std::fs::write(&path, json.to_string()).unwrap();
        assert_eq!(Report::read(&path).unwrap(), report);
    }

    #[test]
    fn what_is_no_report_is_bad_usage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.json");
        for text in [None, Some("{}"), Some("no"), Some("{\"format\": 9}")] {
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            assert_eq!(Report::read(&path).unwrap_err().exit(), Exit::Usage);
        }
    }

    #[test]
    fn quantiles_of_nothing_are_nothing() {
        let mut latency = Latency::default();
        assert_eq!(Quantiles::of(&latency), None);
        latency.record(Duration::from_micros(5));
        assert_eq!(Quantiles::of(&latency).unwrap().named()[5], ("max", 5));
    }
}
