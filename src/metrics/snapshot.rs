//! Numbers gathered at scrape: whoever has them counts in plain integers and pays nothing for
//! being watched.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use prometheus::{
    core::{Collector, Desc},
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

use super::MetricsError;

type SnapshotFn<S> = Box<dyn Fn() -> S + Send + Sync>;

/// Gives a snapshot, once somebody said how.
pub(super) struct Source<S> {
    snapshot: Arc<OnceLock<SnapshotFn<S>>>,
}

impl<S> Clone for Source<S> {
    fn clone(&self) -> Self {
        Self { snapshot: Arc::clone(&self.snapshot) }
    }
}

impl<S> Default for Source<S> {
    fn default() -> Self {
        Self { snapshot: Arc::default() }
    }
}

impl<S: Default> Source<S> {
    /// False where somebody said it before, which stays.
    pub(super) fn set(&self, snapshot: SnapshotFn<S>) -> bool {
        self.snapshot.set(snapshot).is_ok()
    }

    fn snapshot(&self) -> S {
        self.snapshot.get().map_or_else(S::default, |snapshot| snapshot())
    }
}

/// One line of the exposition: which number of a snapshot it is.
pub(super) struct Series<S> {
    pub name: &'static str,
    pub help: &'static str,
    pub label: Option<(&'static str, &'static str)>,
    pub kind: MetricType,
    pub value: fn(&S) -> f64,
}

pub(super) const fn gauge<S>(
    name: &'static str,
    help: &'static str,
    value: fn(&S) -> f64,
) -> Series<S> {
    Series { name, help, label: None, kind: MetricType::GAUGE, value }
}

pub(super) const fn counter<S>(
    name: &'static str,
    help: &'static str,
    value: fn(&S) -> f64,
) -> Series<S> {
    Series { name, help, label: None, kind: MetricType::COUNTER, value }
}

impl<S> Series<S> {
    fn descriptor(&self) -> Result<Desc, MetricsError> {
        let labels = self.label.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let labels: HashMap<_, _> = labels.collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), Vec::new(), labels)
    }

    fn family(&self, snapshot: &S) -> MetricFamily {
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
pub(super) struct SnapshotCollector<S: 'static> {
    descriptors: Vec<Desc>,
    series: &'static [Series<S>],
    source: Source<S>,
}

impl<S> SnapshotCollector<S> {
    pub(super) fn new(
        series: &'static [Series<S>],
        source: Source<S>,
    ) -> Result<Self, MetricsError> {
        let descriptors = series.iter().map(Series::descriptor).collect::<Result<_, _>>()?;
        Ok(Self { descriptors, series, source })
    }
}

impl<S: Default> Collector for SnapshotCollector<S> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptors.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let snapshot = self.source.snapshot();
        self.series.iter().map(|series| series.family(&snapshot)).collect()
    }
}
