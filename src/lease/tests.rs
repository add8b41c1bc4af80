//! Owners, standbys and what becomes of them, over a database that loses answers.

mod answers;
mod clocks;
mod cluster;
mod endings;
mod ice;
mod owners;
mod stored;
mod world;
mod worlds;

use std::{ops::Range, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::{
    cluster::{Cluster, Fate, Line},
    ice::Ice,
};
use super::*;
use crate::{
    metrics::{LeaseMetrics, Metrics},
    model::Version,
    store::{LeaseRow, StoreError},
};

const HOUR: Version = Version::from_micros(3_600_000_000);
/// An answer that takes a while.
const TRIP_MS: u64 = 40;

fn metrics() -> LeaseMetrics {
    Metrics::new().expect("names are valid").lease
}

/// A service that may want the lease.
#[derive(Clone)]
struct Service {
    cluster: Cluster,
    line: Line,
    name: &'static str,
    /// How fast its clock goes.
    rate: f64,
    metrics: LeaseMetrics,
}

impl Service {
    fn new(cluster: &Cluster, name: &'static str) -> Self {
        let (cluster, line) = (cluster.clone(), cluster.line());
        Self { cluster, line, name, rate: 1.0, metrics: metrics() }
    }

    fn with_clock(self, rate: f64) -> Self {
        Self { rate, ..self }
    }

    async fn take(&self, standby: bool) -> Result<Lease, AcquireError> {
        self.take_unless(standby, std::future::pending()).await
    }

    async fn take_unless(
        &self,
        standby: bool,
        asked: impl Future<Output = ()>,
    ) -> Result<Lease, AcquireError> {
        let (cluster, rate) = (self.cluster.clone(), self.rate);
        let clock = BootClock::manual(move || 77 + (cluster.now_ms() as f64 * rate) as u64);
        let wish = Acquire::new(self.name, standby);
        let (table, metrics) = (Arc::new(self.line.clone()), self.metrics.clone());
        soon(Lease::acquire_unless(table, clock, metrics, wish, asked)).await
    }

    async fn start(&self) -> Lease {
        self.take(false).await.expect("the lease is free")
    }

    /// A start with the time, in milliseconds, at which it had the lease.
    fn stand_by(&self) -> JoinHandle<(u64, Lease)> {
        let service = self.clone();
        tokio::spawn(async move {
            let lease = service.take(true).await.expect("a standby waits");
            (service.cluster.now_ms(), lease)
        })
    }
}

fn two(cluster: &Cluster) -> (Service, Service) {
    (Service::new(cluster, "one:7000"), Service::new(cluster, "two:7000"))
}

/// Ends a test that would go on for ever.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(600), future).await.expect("it ends")
}

async fn pass_ms(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

/// When `lease` no longer passes, looking at it all the time.
async fn lapse_ms(cluster: &Cluster, lease: &Lease) -> u64 {
    let lapsing = async {
        while lease.check().is_ok() {
            pass_ms(1).await;
        }
    };
    soon(lapsing).await;
    cluster.now_ms()
}

fn last_write_ms(cluster: &Cluster) -> u64 {
    cluster.history().last().expect("something was written").0
}

#[track_caller]
fn assert_within(ms: u64, range: Range<u64>) {
    assert!(range.contains(&ms), "{ms} is not in {range:?}");
}
