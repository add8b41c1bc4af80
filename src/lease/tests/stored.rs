//! What gets through to a store whose writer has a lease, and what does not.

use std::sync::Arc;

use super::{Cluster, HOUR, Service, pass_ms, two};
use crate::{
    clock::CEILING_AHEAD_US,
    lease::Leased,
    model::{ChannelId, Key, ReadState, UserId, Version},
    store::{Batch, Call, FaultStore, Faults, MemoryStore, Moment, Row, Store, StoreError},
};

const USER: UserId = UserId::new(7).expect("it is not 0");
const CHANNEL: ChannelId = ChannelId::new(1).expect("it is not 0");
const WRITES: [Call; 4] = [Call::Commit, Call::DeleteUser, Call::Expire, Call::ForgetBefore];

fn key() -> Key {
    Key::channel(USER, CHANNEL)
}

fn batch(version: Version) -> Batch {
    let row = Row { key: key(), state: ReadState::tombstone(version) };
    Batch { rows: vec![row], ..Batch::default() }
}

fn micros(micros: u64) -> Version {
    Version::from_micros(micros)
}

/// A store under a lease that has just begun, and what the store beneath is asked.
async fn leased(service: &Service, store: &MemoryStore) -> (Leased, Faults) {
    let beneath = FaultStore::new(Arc::new(store.clone()));
    let faults = beneath.faults();
    (Leased::new(Arc::new(beneath), service.start().await), faults)
}

async fn write(store: &Leased, call: Call, version: Version) -> Result<(), StoreError> {
    match call {
        Call::Commit => store.commit(batch(version)).await.map(|_| ()),
        Call::DeleteUser => store.delete_user(USER, version).await,
        Call::Expire => store.expire(version, 10).await.map(|_| ()),
        _ => store.forget_before(version).await,
    }
}

/// Makes every call that writes; how each ended.
async fn write_all(store: &Leased, version: Version) -> [Result<(), StoreError>; 4] {
    let [commit, delete_user, expire, forget_before] = WRITES;
    [
        write(store, commit, version).await,
        write(store, delete_user, version).await,
        write(store, expire, version).await,
        write(store, forget_before, version).await,
    ]
}

#[tokio::test(start_paused = true)]
async fn an_owner_writes_and_who_has_lapsed_only_reads() {
    let cluster = Cluster::new();
    let (store, beneath) = leased(&Service::new(&cluster, "one:7000"), &MemoryStore::new()).await;
    assert!(write_all(&store, HOUR).await.iter().all(Result::is_ok));
    let writes = || WRITES.map(|call| beneath.tally().begun(call));
    assert_eq!(writes(), [1; 4]);
    pass_ms(5001).await;
    for refused in write_all(&store, HOUR).await {
        let error = refused.expect_err("nobody may write now");
        assert!(matches!(&error, StoreError::Unavailable(words) if words.contains("lapsed")));
    }
    assert_eq!(writes(), [1; 4], "the store beneath never hears of it");
    assert!(store.load(key()).await.expect("it reads").is_none(), "the user is deleted");
    store.load_many(vec![key()]).await.expect("it reads");
    store.load_user(USER, None, 10).await.expect("it reads");
    store.scan(None, 10).await.expect("it reads");
    store.scan_past_damage(None, 10).await.expect("it reads");
    store.identity().await.expect("it reads");
    store.persist().await.expect("that is not a write");
    assert_eq!(store.name(), "memory");
    store.close().await.expect("it closes");
    assert!(matches!(store.load(key()).await, Err(StoreError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn the_ceiling_is_that_of_the_lease_or_what_the_store_had_before() {
    let (cluster, rows) = (Cluster::new(), MemoryStore::new());
    rows.raise_clock_ceiling(micros(500)).await.expect("it rises");
    let (store, _) = leased(&Service::new(&cluster, "one:7000"), &rows).await;
    assert_eq!(store.clock_ceiling().await.expect("it is there"), micros(500));
    store.raise_clock_ceiling(HOUR).await.expect("it rises");
    assert_eq!(store.clock_ceiling().await.expect("it is there"), HOUR);
    assert_eq!(cluster.row().map(|row| row.ceiling), Some(HOUR));
    assert_eq!(rows.clock_ceiling().await.expect("it is there"), micros(500));
}

#[tokio::test(start_paused = true)]
async fn no_version_reaches_the_store_that_is_above_the_ceiling() {
    let rows = MemoryStore::new();
    for call in [Call::Commit, Call::DeleteUser, Call::ForgetBefore] {
        let cluster = Cluster::new();
        let service = Service::new(&cluster, "one:7000");
        let (store, beneath) = leased(&service, &rows).await;
        let write = |version| write(&store, call, version);
        write(HOUR).await.expect("the ceiling rises");
        let ceiling = micros(HOUR.as_micros() + CEILING_AHEAD_US);
        assert_eq!(cluster.row().map(|row| row.ceiling), Some(ceiling));
        let swaps = service.line.swaps();
        write(ceiling).await.expect("it need not rise");
        assert_eq!((service.line.swaps(), beneath.tally().begun(call)), (swaps, 2));
        service.line.cut();
        write(ceiling.next()).await.expect_err("it cannot rise");
        assert_eq!(beneath.tally().begun(call), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_lapses_while_the_ceiling_rises_writes_nothing() {
    let cluster = Cluster::new();
    let service = Service::new(&cluster, "one:7000");
    let (store, beneath) = leased(&service, &MemoryStore::new()).await;
    pass_ms(4900).await;
    // The answer comes after the deadline that the swap brings is long over: its first look at the
    // clock was by a process that then froze.
    let ice = super::Ice::new();
    service.line.delay(50, 50);
    let writing = tokio::spawn(ice.over(async move { store.commit(batch(HOUR)).await }));
    pass_ms(60).await;
    ice.freeze(std::time::Duration::from_secs(20));
    let refused = writing.await.expect("it runs").expect_err("the lease has lapsed");
    assert!(matches!(refused, StoreError::Unavailable(_)));
    assert_eq!(beneath.tally().begun(Call::Commit), 0);
}

/// It may have lost in every cell against what the next owner has written since.
#[tokio::test(start_paused = true)]
async fn what_is_confirmed_after_the_lease_lapsed_is_no_confirmation() {
    for call in [Call::Commit, Call::DeleteUser, Call::ForgetBefore] {
        let (cluster, rows) = (Cluster::new(), MemoryStore::new());
        let (one, two) = two(&cluster);
        let (old, beneath) = leased(&one, &rows).await;
        old.raise_clock_ceiling(HOUR).await.expect("it is the owner");
        let gate = beneath.hold(call, Moment::Before);
        let writing = tokio::spawn(async move { write(&old, call, HOUR).await });
        beneath.until(|tally| tally.held(call) == 1).await;
        two.start().await;
        gate.open();
        let late = writing.await.expect("it runs").expect_err("another owns it by now");
        assert!(matches!(&late, StoreError::Unavailable(words) if words.contains("lapsed")));
        assert_eq!(beneath.tally().ended(call), 1, "it was done all the same");
    }
}

/// However far ahead the clock is that says what has expired.
#[tokio::test(start_paused = true)]
async fn what_the_next_owner_has_written_does_not_expire_under_the_old_one() {
    let (cluster, rows) = (Cluster::new(), MemoryStore::new());
    let (one, two) = two(&cluster);
    let (old, beneath) = leased(&one, &rows).await;
    old.commit(batch(HOUR)).await.expect("it is the owner");
    let gate = beneath.hold(Call::Expire, Moment::Before);
    let expiring = tokio::spawn(async move { old.expire(micros(u64::MAX), 10).await });
    let (new, _) = leased(&two, &rows).await;
    let floor = new.clock_ceiling().await.expect("it is there");
    new.commit(batch(floor.next())).await.expect("it is the owner");
    gate.open();
    assert_eq!(expiring.await.expect("it runs").expect("it was under way"), 0);
    let state = new.load(key()).await.expect("it reads").expect("it is there");
    assert_eq!(state.version(), floor.next());
}
