//! Watches: who watches, what waits for them, what they were told and why they ended.

use prometheus::{Histogram, IntCounter, IntGauge, Registry};

use super::{MetricsError, family};
use crate::model::Cause;

/// From a reader that keeps up to one that is about to be ended.
const BUCKETS_CHANGES: [f64; 8] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchEnd {
    /// The client closed it, or its connection broke.
    Closed,
    /// The client did not read.
    SlowConsumer,
    /// The server is shutting down.
    Draining,
    /// The store or the journal failed.
    Failed,
}

impl WatchEnd {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Closed, Self::SlowConsumer, Self::Draining, Self::Failed];

    /// The name, as a metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::SlowConsumer => "slow_consumer",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }
}

/// The metrics of watches.
#[derive(Debug)]
pub struct WatchMetrics {
    /// Watches now.
    pub streams: IntGauge,
    /// Users watched now; one counts once for each watch.
    pub users: IntGauge,
    /// Changes that wait to be given out, of all watches.
    pub waiting: IntGauge,
    /// Changes found waiting each time a watch took some.
    pub depth: Histogram,
    events: Vec<IntCounter>,
    ended: Vec<IntCounter>,
}

impl WatchMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let gauge = |name, help| family::gauge(registry, name, help);
        let events = family::counters(
            registry,
            "readstates_watch_events_total",
            "Events given out to watches, by cause.",
            &["cause"],
        )?;
        let ended = family::counters(
            registry,
            "readstates_watch_ended_total",
            "Watches that ended, by reason.",
            &["reason"],
        )?;
        Ok(Self {
            streams: gauge("readstates_watch_streams", "Watches now.")?,
            users: gauge("readstates_watched_users", "Users watched now, once for each watch.")?,
            waiting: gauge(
                "readstates_watch_waiting_changes",
                "Changes that wait to be given out, of all watches.",
            )?,
            depth: family::histogram(
                registry,
                "readstates_watch_queue_depth",
                "Changes found waiting each time a watch took some.",
                &BUCKETS_CHANGES,
            )?,
            events: Cause::ALL
                .iter()
                .map(|cause| events.get_metric_with_label_values(&[label(*cause)]))
                .collect::<Result<_, _>>()?,
            ended: WatchEnd::ALL
                .iter()
                .map(|end| ended.get_metric_with_label_values(&[end.label()]))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Counts an event.
    pub fn count(&self, cause: Cause) {
        self.events[cause as usize].inc();
    }

    /// Counts an end.
    pub fn end(&self, why: WatchEnd) {
        self.ended[why as usize].inc();
    }
}

fn label(cause: Cause) -> &'static str {
    match cause {
        Cause::Ack => "ack",
        Cause::Increment => "increment",
        Cause::Reset => "reset",
        Cause::MarkUnread => "mark_unread",
        Cause::AckPins => "ack_pins",
        Cause::Retract => "retract",
        Cause::Restore => "restore",
        Cause::Delete => "delete",
        Cause::CatchUp => "catch_up",
        Cause::CaughtUp => "caught_up",
        Cause::Resync => "resync",
    }
}
