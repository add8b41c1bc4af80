//! The load client of the benches: that it counts what was answered, and takes no error for one.

#[path = "../benches/load/wire.rs"]
mod wire;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use readstates::{
    clock::Clock,
    config::{Config, Durability},
    server::{Server, Shutdown},
    store::{self, FaultStore, MemoryStore, Store, StoreError},
};
use tokio::task::spawn_blocking;
use wire::{Call, Outcome};

const CONNECTIONS: usize = 3;
const IN_FLIGHT: usize = 32;
/// Long enough for thousands of calls.
const DURATION: Duration = Duration::from_millis(300);
/// Of so many no two calls draw the same.
const KEYS: u64 = 1 << 50;

async fn serve(config: Config) -> SocketAddr {
    serve_from(Arc::new(MemoryStore::default()), config).await
}

async fn serve_from(store: Arc<dyn Store>, config: Config) -> SocketAddr {
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        admin_listen: ([127, 0, 0, 1], 0).into(),
        durability: Durability::Memory,
        ..config
    };
    let server = Server::start_on(config, Clock::system(), store).await.expect("it starts");
    let address = server.grpc_address().expect("it is bound");
    let (ask, shutdown) = Shutdown::new();
    tokio::spawn(async move {
        // It serves until the runtime ends.
        let _ask = ask;
        server.run(shutdown).await
    });
    address
}

async fn rate(address: SocketAddr, call: Call) -> io::Result<Outcome> {
    let run = move || wire::rate(address, CONNECTIONS, IN_FLIGHT, DURATION, &call);
    spawn_blocking(run).await.expect("it does not panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_counted() {
    let address = serve(Config::default()).await;
    let health = rate(address, Call::Health).await.expect("health answers");
    assert!(health.calls > 0 && health.in_flight == IN_FLIGHT, "{health:?}");
    assert_eq!(health.changed, 0);
    assert!(health.client > Duration::ZERO && health.elapsed >= DURATION);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ack_of_another_key_changes_it() {
    let address = serve(Config::default()).await;
    let acks = rate(address, Call::Ack(0..KEYS)).await.expect("acks are answered");
    assert!(acks.calls > 0);
    assert_eq!(acks.changed, acks.calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_streams_are_opened_than_the_server_takes() {
    let address = serve(Config { max_concurrent_streams: 2, ..Config::default() }).await;
    let health = rate(address, Call::Health).await.expect("none is refused");
    assert!(health.calls > 0);
    assert_eq!(health.in_flight, 2 * CONNECTIONS);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_no_answer() {
    let store = FaultStore::new(Arc::new(MemoryStore::default()));
    let gone = StoreError::Unavailable("it is gone".to_owned());
    store.faults().fail_next(store::Call::Load, u64::MAX, gone);
    let address = serve_from(Arc::new(store), Config::default()).await;
    let error = rate(address, Call::Ack(0..KEYS)).await.expect_err("no state can be loaded");
    assert!(error.to_string().contains("calls failed beside"), "{error}");
}
