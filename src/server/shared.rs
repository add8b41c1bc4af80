//! The store that several services can reach: one of them writes at a time, the one that has the
//! lease.

use std::sync::Arc;

use super::{StartError, start::Opened};
use crate::{
    config::Config,
    lease::{Acquire, BootClock, Lease, Leased},
    metrics::Metrics,
    store::{CassandraOptions, Cluster},
};

/// Connects to the cluster, waits for the lease where that is wanted, and opens the store.
pub(super) async fn open(config: &Config, metrics: &Metrics) -> Result<Opened, StartError> {
    let cluster = Cluster::connect(CassandraOptions::of(config)).await?;
    let wish = Acquire { owner: owner_name(config), standby: config.standby };
    let table = Arc::new(cluster.clone());
    let lease = Lease::acquire(table, BootClock::system(), metrics.lease.clone(), wish).await?;
    // Before anything that takes long.
    tokio::spawn(lease.clone().keep());
    let shown = lease.clone();
    metrics.observe_lease(move || shown.snapshot());
    // Only now does nobody else write what it reads first.
    let store = match cluster.store(lease.epoch()).await {
        Ok(store) => Arc::new(store),
        Err(error) => {
            lease.release().await;
            return Err(error.into());
        }
    };
    Ok(Opened { store: Arc::new(Leased::new(store, lease.clone())), lease: Some(lease) })
}

/// What others are told of who has the keyspace.
fn owner_name(config: &Config) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    config.owner_name.clone().unwrap_or_else(|| format!("{}:{}", host(), config.listen.port()))
}
