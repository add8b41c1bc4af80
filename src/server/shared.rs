//! The store that several services can reach: one of them writes at a time, the one that has the
//! lease.

use std::{pin::pin, sync::Arc};

use tokio::sync::watch;
use tracing::info;

use super::{StartError, journaling, start::Opened};
use crate::{
    config::Config,
    journal::{OfferError, Offering, Recovery},
    lease::{Acquire, BootClock, Lease, Leased},
    metrics::Metrics,
    store::{CassandraOptions, Cluster},
};

/// Connects to the cluster, waits for the lease where that is wanted, and opens the store. What the
/// journal has that was found goes to whoever has the lease meanwhile; the journal that is left.
pub(super) async fn open(
    config: &Config,
    found: Option<Recovery>,
    metrics: &Metrics,
) -> Result<(Opened, Option<Recovery>), StartError> {
    let cluster = Cluster::connect(CassandraOptions::of(config)).await?;
    let (lease, found) = acquire(config, &cluster, found, metrics).await?;
    let shown = lease.clone();
    metrics.observe_lease(move || shown.snapshot());
    // Only now does nobody else write what it reads first.
    let opened = async { Ok((cluster.store(lease.epoch()).await?, found?)) };
    let (store, found) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            lease.release().await;
            return Err(error);
        }
    };
    let store = Arc::new(Leased::new(Arc::new(store), lease.clone()));
    Ok((Opened { store, lease: Some(lease), offers: Some(Arc::new(cluster)) }, found))
}

/// Takes the lease, and says which journal is left.
async fn acquire(
    config: &Config,
    cluster: &Cluster,
    found: Option<Recovery>,
    metrics: &Metrics,
) -> Result<(Lease, Result<Option<Recovery>, StartError>), StartError> {
    let wish = Acquire::new(owner_name(config), config.standby);
    let (stop, stopped) = watch::channel(false);
    let offering = Offering::until(cluster.clone(), metrics.offers.clone(), stopped.clone());
    let mut standing = pin!(stand_by(config, found, offering, wish.rival(), stopped));
    let table = Arc::new(cluster.clone());
    let acquiring = Lease::acquire(table, BootClock::system(), metrics.lease.clone(), wish);
    let mut acquiring = pin!(acquiring);
    tokio::select! {
        found = &mut standing => {
            let found = found?;
            Ok((kept(acquiring.await?), Ok(found)))
        }
        lease = &mut acquiring => {
            let lease = kept(lease?);
            stop.send(true).ok();
            Ok((lease, standing.await))
        }
    }
}

/// Before anything that takes long.
fn kept(lease: Lease) -> Lease {
    tokio::spawn(lease.clone().keep());
    lease
}

/// Offers what the journal has once another is seen to serve, and says what is left of it. Where
/// nobody serves, this service will, and brings all of it back itself.
async fn stand_by(
    config: &Config,
    found: Option<Recovery>,
    offering: Offering,
    mut rival: watch::Receiver<bool>,
    mut stopped: watch::Receiver<bool>,
) -> Result<Option<Recovery>, StartError> {
    let Some(recovery) = found else { return Ok(None) };
    if recovery.records() == 0 {
        return Ok(Some(recovery));
    }
    tokio::select! {
        _ = stopped.wait_for(|stopped| *stopped) => return Ok(Some(recovery)),
        Ok(_) = rival.wait_for(|rival| *rival) => {}
    }
    match offering.offer(recovery).await {
        Ok(offered) => {
            let (states, deletions) = (offered.states, offered.deletions);
            info!(states, deletions, "what the journal had is offered to who serves");
        }
        Err(OfferError::Stopped) => {}
        Err(error) => return Err(error.into()),
    }
    journaling::find(config).await
}

/// What others are told of who has the keyspace.
fn owner_name(config: &Config) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    config.owner_name.clone().unwrap_or_else(|| format!("{}:{}", host(), config.listen.port()))
}
