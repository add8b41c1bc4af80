//! The cache's numbers, gathered at scrape: the hot path counts in plain integers under its lock
//! and pays nothing for being watched.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use prometheus::{
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

use super::MetricsError;

/// The cache at one moment. Counters count since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CacheSnapshot {
    /// States in memory, victims included.
    pub entries: u64,
    /// The most states that may be in memory.
    pub capacity: u64,
    /// Memory of the states, by estimate.
    pub bytes: u64,
    /// Look-ups that found their state.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// States that left for others and were already written.
    pub evictions_clean: u64,
    /// States that left for others and had to be written first.
    pub evictions_dirty: u64,
    /// States that wait to be written, victims included.
    pub dirty: u64,
    /// The most states that may wait to be written.
    pub dirty_limit: u64,
    /// Age of the oldest change that is not yet written; 0 if there is none.
    pub oldest_dirty_age_seconds: f64,
    /// States evicted but not yet written.
    pub victims: u64,
    /// Changes refused because too many states wait to be written.
    pub dirty_refused: u64,
}

/// Gives a snapshot, once somebody said how.
#[derive(Clone, Default)]
pub(super) struct CacheSource {
    snapshot: Arc<OnceLock<SnapshotFn>>,
}

type SnapshotFn = Box<dyn Fn() -> CacheSnapshot + Send + Sync>;

impl CacheSource {
    pub(super) fn set(&self, snapshot: SnapshotFn) -> bool {
        self.snapshot.set(snapshot).is_ok()
    }

    fn snapshot(&self) -> CacheSnapshot {
        self.snapshot.get().map_or_else(CacheSnapshot::default, |snapshot| snapshot())
    }
}

/// One line of the exposition: which number of a snapshot it is.
struct Series {
    name: &'static str,
    help: &'static str,
    label: Option<(&'static str, &'static str)>,
    kind: MetricType,
    value: fn(&CacheSnapshot) -> f64,
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&CacheSnapshot) -> f64) -> Series {
    Series { name, help, label: None, kind: MetricType::GAUGE, value }
}

const fn counter(
    name: &'static str,
    help: &'static str,
    value: fn(&CacheSnapshot) -> f64,
) -> Series {
    Series { name, help, label: None, kind: MetricType::COUNTER, value }
}

const EVICTIONS: Series = counter(
    "readstates_cache_evictions_total",
    "States that left memory for others: clean ones at once, dirty ones to be written first.",
    |cache| cache.evictions_clean as f64,
);

/// Series of one name stand together.
static SERIES: [Series; 12] = [
    gauge("readstates_cache_entries", "States in memory, victims included.", |cache| {
        cache.entries as f64
    }),
    gauge("readstates_cache_capacity_entries", "The most states in memory.", |cache| {
        cache.capacity as f64
    }),
    gauge("readstates_cache_bytes", "Memory of the states, by estimate.", |cache| {
        cache.bytes as f64
    }),
    gauge("readstates_cache_victims", "States evicted but not yet written.", |cache| {
        cache.victims as f64
    }),
    counter("readstates_cache_hits_total", "Look-ups that found their state.", |cache| {
        cache.hits as f64
    }),
    counter("readstates_cache_misses_total", "Look-ups that went to the store.", |cache| {
        cache.misses as f64
    }),
    Series { label: Some(("state", "clean")), ..EVICTIONS },
    Series {
        label: Some(("state", "dirty")),
        value: |cache| cache.evictions_dirty as f64,
        ..EVICTIONS
    },
    gauge("readstates_dirty_entries", "States that wait to be written.", |cache| {
        cache.dirty as f64
    }),
    gauge("readstates_dirty_limit_entries", "The most states that may wait.", |cache| {
        cache.dirty_limit as f64
    }),
    gauge(
        "readstates_oldest_dirty_age_seconds",
        "Age of the oldest change that is not yet written.",
        |cache| cache.oldest_dirty_age_seconds,
    ),
    counter("readstates_dirty_refused_total", "Changes refused at the limit.", |cache| {
        cache.dirty_refused as f64
    }),
];

impl Series {
    fn descriptor(&self) -> Result<Desc, MetricsError> {
        let labels = self.label.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let labels: HashMap<_, _> = labels.collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), Vec::new(), labels)
    }

    fn family(&self, snapshot: &CacheSnapshot) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(vec![self.metric((self.value)(snapshot))]);
        family
    }

    fn metric(&self, value: f64) -> Metric {
        let mut metric = Metric::from_label(self.label.map(pair).into_iter().collect());
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    }
}

fn pair((name, value): (&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// Turns snapshots into families whenever someone scrapes. The registry puts families of one name
/// together.
pub(super) struct CacheCollector {
    descriptors: Vec<Desc>,
    source: CacheSource,
}

impl CacheCollector {
    pub(super) fn new(source: CacheSource) -> Result<Self, MetricsError> {
        let descriptors = SERIES.iter().map(Series::descriptor).collect::<Result<_, _>>()?;
        Ok(Self { descriptors, source })
    }
}

impl Collector for CacheCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptors.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = self.source.snapshot();
        SERIES.iter().map(|series| series.family(&snapshot)).collect()
    }
}
