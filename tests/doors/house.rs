//! A whole server in this process whose doors are kept by a file that a test rewrites.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use http::uri::PathAndQuery;
use readstates::{
    clock::Clock,
    config::{Config, Durability},
    doors::Digest,
    lifecycle::Phase,
    server::{Server, Shutdown, StartError, Stopped},
    store::MemoryStore,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
};
use tonic::{Request, Status, Streaming, client::Grpc, transport::Channel};

use crate::{
    bytes::Bytes,
    credential::{Credential, token_of},
};

/// The callers of every test: one for each role, one for all of them, and one whose time is over.
pub const CALLERS: [(&str, &str); 6] = [
    ("reader", "roles = [\"reader\"]"),
    ("writer", "roles = [\"writer\"]"),
    ("fanout", "roles = [\"fanout\"]"),
    ("admin", "roles = [\"admin\"]"),
    ("leaver", "roles = [\"reader\", \"writer\", \"fanout\", \"admin\"]"),
    ("expired", "roles = [\"admin\"]\nexpires = 2020-02-29T23:59:59+01:00"),
];

/// A callers file.
pub fn file(callers: &[(&str, &str)]) -> String {
    let entry = |(name, rest): &(&str, &str)| {
        let digest = Digest::of(token_of(name).as_bytes()).hex();
        format!("[[caller]]\nname = {name:?}\ntoken_sha256 = {digest:?}\n{rest}\n\n")
    };
    callers.iter().map(entry).collect()
}

pub struct House {
    _folder: TempDir,
    path: PathBuf,
    admin: SocketAddr,
    channel: Channel,
    generations: Option<watch::Receiver<u64>>,
    shutdown: watch::Sender<u32>,
    serving: JoinHandle<Result<Stopped, StartError>>,
}

/// The messages of an answer, as bytes.
pub type Answer = Streaming<Vec<u8>>;

impl House {
    /// With the usual callers.
    pub async fn open() -> Self {
        Self::with(&file(&CALLERS), Clock::system(), |_| ()).await
    }

    /// With callers of this file, and with settings as `configure` wants them.
    pub async fn with(file: &str, clock: Clock, configure: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("callers.toml");
        fs::write(&path, file).expect("it is written");
        let mut config = Config::default();
        config.admin_listen = ([127, 0, 0, 1], 0).into();
        config.listen = config.admin_listen.into();
        config.durability = Durability::Memory;
        // Nothing happens by itself.
        config.flush_after = Duration::from_secs(3_600);
        config.callers_file = Some(path.clone());
        config.callers_check_every = Duration::from_millis(10);
        configure(&mut config);
        let server = Server::start_on(config, clock, Arc::new(MemoryStore::new())).await;
        let server = server.expect("a server starts");
        let (address, admin) = (server.grpc_address().expect("bound"), server.admin_address());
        let generations = server.doors().map(|doors| doors.generations());
        let lifecycle = server.lifecycle();
        let (shutdown, asked) = Shutdown::new();
        let serving = tokio::spawn(server.run(asked));
        lifecycle.wait_for(Phase::Ready).await;
        let channel = Channel::from_shared(format!("http://{address}")).expect("an address");
        let channel = channel.connect().await.expect("it answers");
        Self { _folder: folder, path, admin, channel, generations, shutdown, serving }
    }

    pub async fn close(self) {
        drop(self.channel);
        self.shutdown.send_replace(1);
        let stopped = self.serving.await.expect("it does not panic").expect("it ends well");
        assert_eq!(stopped.unflushed, 0);
    }

    /// Puts another file in the place of the callers', and waits until that is in force.
    pub async fn rewrite(&mut self, file: &str) {
        let generations = self.generations.as_mut().expect("the doors are on");
        generations.mark_unchanged();
        let aside = self.path.with_extension("new");
        fs::write(&aside, file).expect("it is written");
        fs::rename(&aside, &self.path).expect("it is moved");
        generations.changed().await.expect("the server runs");
    }

    /// Returns once callers have come or gone since the last time.
    pub async fn changed(&mut self) {
        let generations = self.generations.as_mut().expect("the doors are on");
        generations.changed().await.expect("the server runs");
    }

    /// Begins a call with one message, whatever the method's kind.
    pub async fn begin(
        &self,
        path: &'static str,
        credential: &Credential,
        message: Vec<u8>,
    ) -> Result<Answer, Status> {
        let mut request = Request::new(message);
        credential.sign(&mut request);
        let mut client = Grpc::new(self.channel.clone());
        client.ready().await.expect("the connection is there");
        let path = PathAndQuery::from_static(path);
        Ok(client.server_streaming(request, path, Bytes).await?.into_inner())
    }

    /// As [`Self::begin`], with the messages that come.
    pub async fn converse(
        &self,
        path: &'static str,
        credential: &Credential,
        messages: tokio::sync::mpsc::Receiver<Vec<u8>>,
    ) -> Result<Answer, Status> {
        let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
        let mut request = Request::new(messages);
        credential.sign(&mut request);
        let mut client = Grpc::new(self.channel.clone());
        client.ready().await.expect("the connection is there");
        let path = PathAndQuery::from_static(path);
        Ok(client.streaming(request, path, Bytes).await?.into_inner())
    }

    /// Makes a call and takes the first message of its answer.
    pub async fn call(
        &self,
        path: &'static str,
        credential: &Credential,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, Status> {
        let first = self.begin(path, credential, message).await?.message().await?;
        first.ok_or_else(|| Status::unknown("it ended without a message"))
    }

    /// An answer of the operators' port, with its head.
    pub async fn get(&self, page: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.expect("it listens");
        let request = format!("GET {page} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    /// The value of one series.
    pub async fn metric(&self, series: &str) -> f64 {
        let metrics = self.get("/metrics").await;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series}")).parse().expect("a number")
    }
}
