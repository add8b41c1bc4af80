//! A server within the bench, in threads of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use readstates::{
    clock::Clock,
    config::Config,
    server::{Server, Shutdown, Stopped, main_runtime},
    store::MemoryStore,
};
use tokio::sync::watch;

use crate::cores;

pub type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Where the clients are, and never what serves.
pub const CLIENT_CORE: usize = 1;
/// Where what serves is, if it is confined to one processor.
pub const SERVING_CORE: usize = 0;
/// How the names of its threads begin.
pub const SERVING: &str = "serving";
/// Names the folder in which the journals are.
const FOLDER: &str = "READSTATES_BENCH_DIR";

pub struct Node {
    pub address: SocketAddr,
    ask: watch::Sender<u32>,
    thread: thread::JoinHandle<Outcome<Stopped>>,
    _folder: tempfile::TempDir,
}

impl Node {
    /// Serves with these settings, on ports and in a folder of its own, over a store in memory.
    pub fn start(config: Config) -> Outcome<Self> {
        let folder = match std::env::var(FOLDER) {
            Ok(path) => tempfile::tempdir_in(path)?,
            Err(_) => tempfile::tempdir()?,
        };
        let config = Config {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            admin_listen: (Ipv4Addr::LOCALHOST, 0).into(),
            data_dir: folder.path().to_owned(),
            ..config
        };
        let (ask, shutdown) = Shutdown::new();
        let (started, address) = mpsc::channel();
        let runtime = main_runtime(&config)?;
        let serve = async move {
            let store = Arc::new(MemoryStore::default());
            let server = Server::start_on(config, Clock::system(), store).await?;
            started.send(server.grpc_address()?)?;
            Ok(server.run(shutdown).await?)
        };
        let thread = thread::spawn(move || runtime.block_on(serve));
        Ok(Self { address: address.recv()?, ask, thread, _folder: folder })
    }

    pub fn stop(self) -> Outcome<()> {
        self.ask.send_modify(|asked| *asked += 1);
        self.thread.join().map_err(|_| "the server panicked")??;
        Ok(())
    }
}

/// Runs `call` in a thread of the clients' processor.
pub fn as_client<T: Send>(call: impl FnOnce() -> Outcome<T> + Send) -> Outcome<T> {
    thread::scope(|scope| {
        let run = || {
            cores::confine(None, CLIENT_CORE)?;
            call()
        };
        scope.spawn(run).join().map_err(|_| "a client panicked")?
    })
}

/// Places for so many states that none is evicted: users are not spread evenly over shards.
pub fn places(entries: u64) -> u64 {
    entries * 5 / 4 + 10_000
}

/// How long a round takes.
pub fn round(smoke: bool, seconds: u64) -> Duration {
    if smoke { Duration::from_millis(100) } else { Duration::from_secs(seconds) }
}
