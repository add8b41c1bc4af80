//! The store that several services can reach: one of them writes at a time, the one that has the
//! lease.

use std::{convert::Infallible, future::pending, pin::pin, sync::Arc};

use futures_util::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use super::{Front, StartError, journaling, start::Opened};
use crate::{
    config::Config,
    journal::{OfferError, Offering, Recovery},
    lease::{Acquire, AcquireError, BootClock, Lease, Leased},
    lifecycle::Lifecycle,
    store::{CassandraOptions, Cluster},
};

/// Connects to the cluster, waits for the lease where that is wanted, and opens the store. What the
/// journal has that was found goes to whoever has the lease meanwhile; the journal that is left.
pub(super) async fn open(
    config: &Config,
    found: Option<Recovery>,
    front: &Front,
    asked: impl Future<Output = ()>,
) -> Result<(Opened, Option<Recovery>), StartError> {
    let mut asked = pin!(asked);
    let cluster = tokio::select! {
        cluster = Cluster::connect(CassandraOptions::of(config)) => cluster?,
        () = &mut asked => return Err(StartError::Interrupted),
    };
    let (lease, found) = acquire(config, &cluster, found, front, asked.as_mut()).await?;
    let shown = lease.clone();
    front.metrics.observe_lease(move || shown.snapshot());
    let opened = async {
        // First: what went wrong with the journal is told, whatever else there is.
        let found = found?;
        // Just when it took the lease: nothing is to be replayed and merged for that.
        if asked.now_or_never().is_some() {
            return Err(StartError::Interrupted);
        }
        // Only now does nobody else write what it reads first.
        Ok((cluster.store(lease.epoch()).await?, found))
    };
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
    front: &Front,
    asked: impl Future<Output = ()>,
) -> Result<(Lease, Result<Option<Recovery>, StartError>), StartError> {
    let wish = Acquire::new(owner_name(config), config.standby);
    let (stop, stopped) = watch::channel(false);
    let metrics = &front.metrics;
    let offering = Offering::until(cluster.clone(), metrics.offers.clone(), stopped.clone());
    let mut standing = pin!(stand_by(config, found, offering, wish.rival(), stopped));
    let table = Arc::new(cluster.clone());
    let (clock, counted) = (BootClock::system(), metrics.lease.clone());
    // Not dropped halfway: a lease that nobody renews or releases keeps others waiting.
    let rival = wish.rival();
    let (give_up, given_up) = oneshot::channel::<()>();
    let asked = async {
        tokio::select! {
            () = asked => {}
            Ok(()) = given_up => {}
        }
    };
    let acquiring = Lease::acquire_unless(table, clock, counted, wish, asked);
    let mut acquiring = pin!(standing_by(&front.lifecycle, rival, acquiring));
    tokio::select! {
        found = &mut standing => {
            if found.is_err() {
                give_up.send(()).ok();
            }
            both(acquiring.await.map(kept), found)
        }
        lease = &mut acquiring => {
            let lease = lease.map(kept);
            // Also where it is not there: an offer that has begun is taken back.
            stop.send(true).ok();
            both(lease, standing.await)
        }
    }
}

/// Where there is neither, what became of the journal is what somebody has to know.
fn both(
    lease: Result<Lease, AcquireError>,
    found: Result<Option<Recovery>, StartError>,
) -> Result<(Lease, Result<Option<Recovery>, StartError>), StartError> {
    match (lease, found) {
        (Ok(lease), found) => Ok((lease, found)),
        (Err(lease), Err(error)) => {
            warn!(%lease, "the lease is not there either");
            Err(error)
        }
        (Err(error), Ok(_)) => Err(error.into()),
    }
}

/// Waits for `acquiring`, and says that this service stands by once another is seen to serve.
async fn standing_by<T>(
    lifecycle: &Lifecycle,
    mut rival: watch::Receiver<bool>,
    acquiring: impl Future<Output = T>,
) -> T {
    let standing_by = async {
        if rival.wait_for(|rival| *rival).await.is_ok() {
            lifecycle.stand_by(true);
        }
        pending::<Infallible>().await
    };
    let acquired = tokio::select! {
        acquired = acquiring => acquired,
        never = standing_by => match never {},
    };
    lifecycle.stand_by(false);
    acquired
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
pub(super) fn owner_name(config: &Config) -> String {
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let port = || config.listen.tcp().next().map_or(0, |address| address.port());
    config.owner_name.clone().unwrap_or_else(|| format!("{}:{}", host(), port()))
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_stands_by_from_when_another_serves_until_the_lease_is_there() {
        let life = Lifecycle::new();
        let mut states = life.subscribe();
        let (rival, seen) = watch::channel(false);
        let (take, taken) = oneshot::channel();
        let acquiring = tokio::spawn({
            let life = life.clone();
            async move { standing_by(&life, seen, taken).await }
        });
        rival.send_replace(true);
        states.wait_for(|state| state.standing_by).await.expect("it lives");
        take.send("the lease").expect("it waits");
        assert_eq!(acquiring.await.expect("no panic"), Ok("the lease"));
        assert!(!life.state().standing_by);
    }
}
