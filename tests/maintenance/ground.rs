//! A server in this process, over a store that a test can reach behind its back.

use std::{net::SocketAddr, sync::Arc};

use readstates::{
    clock::Clock,
    config::{Config, Durability},
    lifecycle::Phase,
    model::{ChannelId, Key, MessageId, Operation, ReadState, UserId, Version},
    server::{Server, Shutdown, StartError, Stopped},
    store::{Batch, FaultStore, Faults, MemoryStore, Row, Store as _},
};
use tokio::{sync::watch, task::JoinHandle};

pub struct Ground {
    pub store: MemoryStore,
    pub faults: Faults,
    pub address: SocketAddr,
    shutdown: watch::Sender<u32>,
    serving: JoinHandle<Result<Stopped, StartError>>,
}

pub fn key(user: u64, channel: u64) -> Key {
    let user = UserId::new(user).expect("not 0");
    Key::channel(user, ChannelId::new(channel).expect("not 0"))
}

/// A state acked up to `message`.
pub fn state(message: u64, version: Version) -> ReadState {
    let mut state = ReadState::default();
    let message = MessageId::new(message).expect("not 0");
    drop(state.apply(&Operation::Ack { message, flags: None, last_viewed_day: None }));
    state.set_version(version);
    state
}

impl Ground {
    pub async fn new() -> Self {
        let store = MemoryStore::new();
        let mut config = Config::default();
        config.admin_listen = ([127, 0, 0, 1], 0).into();
        config.listen = config.admin_listen.into();
        config.durability = Durability::Memory;
        let faulty = FaultStore::new(Arc::new(store.clone()));
        let faults = faulty.faults();
        let server = Server::start_on(config, Clock::system(), Arc::new(faulty)).await;
        let server = server.expect("a server starts");
        let address = server.grpc_address().expect("it is bound");
        let lifecycle = server.lifecycle();
        let (shutdown, asked) = Shutdown::new();
        let serving = tokio::spawn(server.run(asked));
        lifecycle.wait_for(Phase::Ready).await;
        Self { store, faults, address, shutdown, serving }
    }

    /// Writes a row that the cache knows nothing of.
    pub async fn plant(&self, key: Key, state: ReadState) {
        let rows = vec![Row { key, state }];
        let report =
            self.store.commit(Batch { rows, durable: false, upto: None }).await.expect("a commit");
        assert_eq!(report.failed, []);
    }

    pub async fn stop(self) {
        self.shutdown.send_replace(1);
        self.serving.await.expect("it does not panic").expect("it ends well");
    }
}
