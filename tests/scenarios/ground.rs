//! A whole server in this process, on ports of its own, over a store that outlives it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use readstates::{
    clock::Clock,
    config::{Config, Durability},
    lifecycle::Phase,
    proto::{self, read_states_service_client::ReadStatesServiceClient},
    server::{Server, Shutdown, StartError, Stopped},
    store::{EmbeddedOptions, EmbeddedStore, FaultStore, Faults, MemoryStore, Store},
};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle};
use tonic::transport::Channel;

pub type Client = ReadStatesServiceClient<Channel>;

/// Users of tests are below; these only push others out of a small cache.
const STRANGER: u64 = 1 << 60;

/// Where states rest beneath a server, and how to get at them again after it ended.
enum Rest {
    Memory(MemoryStore),
    Embedded(TempDir),
    /// As the first, in the hands of a test.
    Faulty(MemoryStore, Arc<FaultStore>),
}

impl Rest {
    fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => {
                store.reopen();
                Arc::new(store.clone())
            }
            Self::Embedded(folder) => {
                let options = EmbeddedOptions::new(folder.path());
                Arc::new(EmbeddedStore::open(&options).expect("its own folder opens"))
            }
            Self::Faulty(memory, store) => {
                memory.reopen();
                Arc::clone(store) as Arc<dyn Store>
            }
        }
    }
}

/// On what a server is started.
pub struct Ground {
    rest: Rest,
    pub config: Config,
    clock: Option<Clock>,
}

impl Ground {
    fn new(rest: Rest, cache_entries: Option<u64>) -> Self {
        let mut config = Config::default();
        config.admin_listen = ([127, 0, 0, 1], 0).into();
        config.listen = config.admin_listen.into();
        config.cache_entries = cache_entries;
        // What is shown here does not depend on it; tests/journal and tests/crash are about it.
        config.durability = Durability::Memory;
        Self { rest, config, clock: None }
    }

    /// Everything stays in the cache; nothing is written before the end.
    pub fn roomy() -> Self {
        Self::new(Rest::Memory(MemoryStore::new()), None)
    }

    /// Room for two channels and one state of another type: everything is pushed out at once.
    pub fn tiny() -> Self {
        Self::new(Rest::Memory(MemoryStore::new()), Some(3))
    }

    /// Room for a small part of what the large tests touch.
    pub fn narrow() -> Self {
        Self::new(Rest::Memory(MemoryStore::new()), Some(1_000))
    }

    /// As [`Self::tiny`], over files.
    pub fn on_disk() -> Self {
        Self::new(Rest::Embedded(folder()), Some(4))
    }

    /// As [`Self::narrow`], over files.
    pub fn narrow_on_disk() -> Self {
        Self::new(Rest::Embedded(folder()), Some(1_000))
    }

    /// Over a store that a test can hold up.
    pub fn faulty() -> (Self, Faults) {
        let memory = MemoryStore::new();
        let store = FaultStore::new(Arc::new(memory.clone()));
        let faults = store.faults();
        (Self::new(Rest::Faulty(memory, Arc::new(store)), None), faults)
    }

    /// With time as the test wants it.
    pub fn timed(self, clock: Clock) -> Self {
        Self { clock: Some(clock), ..self }
    }

    pub async fn start(self) -> Node {
        Node { running: Running::start(&self).await, ground: self, pushed: AtomicU64::new(0) }
    }
}

fn folder() -> TempDir {
    TempDir::new().expect("a folder can be made")
}

struct Running {
    client: Client,
    shutdown: watch::Sender<u32>,
    serving: JoinHandle<Result<Stopped, StartError>>,
    address: SocketAddr,
}

impl Running {
    async fn start(ground: &Ground) -> Self {
        let store = ground.rest.open();
        let clock = ground.clock.clone().unwrap_or_else(Clock::system);
        let server = Server::start_on(ground.config.clone(), clock, store).await;
        let server = server.expect("a server starts");
        let address = server.grpc_address().expect("it is bound");
        let lifecycle = server.lifecycle();
        let (shutdown, asked) = Shutdown::new();
        let serving = tokio::spawn(server.run(asked));
        lifecycle.wait_for(Phase::Ready).await;
        let client = Client::connect(format!("http://{address}")).await.expect("it answers");
        let client = client.max_decoding_message_size(usize::MAX);
        Self { client, shutdown, serving, address }
    }

    /// A clean end, which leaves nothing unwritten.
    async fn stop(self) {
        drop(self.client);
        self.shutdown.send_replace(1);
        let stopped = self.serving.await.expect("it does not panic").expect("it ends well");
        assert_eq!(stopped.unflushed, 0, "changes were lost at the end");
    }
}

/// A running server.
pub struct Node {
    running: Running,
    ground: Ground,
    pushed: AtomicU64,
}

impl Node {
    pub fn client(&self) -> Client {
        self.running.client.clone()
    }

    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// On a small cache, touches so many other states that no other is left in it.
    pub async fn push_out(&self) {
        let Some(entries) = self.ground.config.cache_entries.filter(|entries| *entries < 10) else {
            return;
        };
        for stranger in 0..entries {
            let request = proto::AckRequest {
                user_id: STRANGER + stranger,
                channel_id: 1,
                message_id: 1 + self.pushed.fetch_add(1, Ordering::Relaxed),
                ..proto::AckRequest::default()
            };
            self.client().ack(request).await.expect("a stranger's ack");
        }
    }

    /// Ends the server and starts another over the same store.
    pub async fn restart(self) -> Self {
        let Self { running, ground, pushed } = self;
        running.stop().await;
        Self { running: Running::start(&ground).await, ground, pushed }
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}

/// Runs `test` against a server on `ground`, which must end well afterwards.
pub async fn run(ground: Ground, test: impl AsyncFnOnce(&Node)) {
    let node = ground.start().await;
    test(&node).await;
    node.stop().await;
}

/// Makes of each `async fn test(node: &Node)` one test per ground.
macro_rules! on_grounds {
    ([$($ground:ident),+ $(,)?] => $tests:tt) => {
        $( mod $ground { $crate::ground::on_grounds!(@ $ground $tests); } )+
    };
    (@ $ground:ident [$($name:ident),+ $(,)?]) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::ground::run($crate::ground::Ground::$ground(), super::$name).await;
            }
        )+
    };
}

pub(crate) use on_grounds;
