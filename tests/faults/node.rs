//! A whole server in this process, on free ports and over a store that can be told to fail.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use readstates::{
    clock::Clock,
    config::{Config, Durability},
    lifecycle::{Lifecycle, Phase},
    model::{Key, ReadState},
    proto::read_states_service_client::ReadStatesServiceClient,
    server::{Server, Shutdown, StartError, Stopped},
    store::{FaultStore, Faults, MemoryStore, Store},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tonic::transport::Channel;

/// Ends a test that would otherwise hang. Nothing is meant to take nearly as long.
const HANG: Duration = Duration::from_secs(60);

pub type Client = ReadStatesServiceClient<Channel>;

pub struct Node {
    pub faults: Faults,
    pub lifecycle: Lifecycle,
    pub grpc: SocketAddr,
    admin: SocketAddr,
    rests: MemoryStore,
    asked: watch::Sender<u32>,
    running: JoinHandle<Result<Stopped, StartError>>,
}

impl Node {
    /// Serves once it returns.
    pub async fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_over(MemoryStore::new(), change).await.expect("it starts")
    }

    /// As [`Self::start`], over a store that may have been there before.
    pub async fn start_over(
        rests: MemoryStore,
        change: impl FnOnce(&mut Config),
    ) -> Result<Self, StartError> {
        rests.reopen();
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config {
            listen: any_port.into(),
            admin_listen: any_port,
            durability: Durability::Memory,
            ..Config::default()
        };
        change(&mut config);
        let store = FaultStore::new(Arc::new(rests.clone()));
        let faults = store.faults();
        let server = Server::start_on(config, Clock::system(), Arc::new(store)).await?;
        let grpc = server.grpc_address().expect("an address");
        let (admin, lifecycle) = (server.admin_address(), server.lifecycle());
        let (asked, shutdown) = Shutdown::new();
        let running = tokio::spawn(server.run(shutdown));
        lifecycle.wait_for(Phase::Ready).await;
        Ok(Self { faults, lifecycle, grpc, admin, rests, asked, running })
    }

    /// Its store, for another node after it.
    pub fn rests(&self) -> MemoryStore {
        self.rests.clone()
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.grpc)).expect("an address");
        endpoint.connect().await.expect("it listens")
    }

    pub async fn client(&self) -> Client {
        ReadStatesServiceClient::new(self.channel().await)
    }

    /// Asks to end, once more.
    pub fn ask(&self) {
        self.asked.send_modify(|asked| *asked += 1);
    }

    pub async fn is_ready(&self) -> bool {
        let answer = self.get("/readyz").await;
        let code = answer.split(' ').nth(1).expect("a status line");
        assert!(["200", "503"].contains(&code), "{answer}");
        code == "200"
    }

    /// What the admin port says of `path`, with its headers.
    pub async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.expect("the admin port listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    /// What it left behind, once it has ended.
    pub async fn stopped(&mut self) -> Stopped {
        let stopped = within(&mut self.running).await.expect("no panic").expect("it served");
        assert_eq!(self.lifecycle.phase(), Phase::Stopped);
        stopped
    }

    /// What the store has of `key`, whether it was closed or not.
    pub async fn stored(&self, key: Key) -> Option<ReadState> {
        self.rests.reopen();
        self.rests.load(key).await.expect("it never fails")
    }
}

/// Fails where `future` hangs.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(HANG, future).await.expect("it hangs")
}
