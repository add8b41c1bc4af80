//! Connections: whatever a peer sends before it ends, its connection comes to an end, is answered
//! no more than that is worth, and leaves nothing behind; and others are answered as before.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use readstates::{
    config::{Config, ListenAddress},
    edge::{Dealer, Edge, Listener, Table},
    proto::{
        AckRequest, maintenance_service_server::MaintenanceServiceServer,
        read_states_service_client::ReadStatesServiceClient,
        read_states_service_server::ReadStatesServiceServer,
    },
    rpc::{
        Admission, Bounds, CallLayer, DoorLayer, Health, Maintenance, PaceBounds, Port, Service,
    },
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    runtime::{Builder, Runtime},
    task::yield_now,
    time::timeout,
};
use tonic::{
    service::Routes,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::health_server::HealthServer;
use tower::{Layer as _, service_fn};

use crate::{
    draw::Draw,
    ground::{Ground, limits},
    http2,
    message::examples,
};

/// States in memory at most.
const ENTRIES: usize = 256;
/// After so many connections everything is made anew: what they wrote adds up.
const CONNECTIONS_MAX: u32 = 2_000;
/// Much longer than any connection goes on whose peer has ended.
const END_WITHIN: Duration = Duration::from_secs(20);
/// Answered without being asked much, and for each byte that was sent.
const ANSWER_BYTES: usize = 64 << 10;
const ANSWER_BYTES_PER_BYTE: usize = 256;
/// Turns of the runtime without an answer after which none is waited for.
const QUIET_TURNS: u32 = 16;
/// Turns of the runtime within which what a connection had is given back.
const TURNS_MAX: u32 = 100_000;

thread_local! {
    static HOUSE: RefCell<Option<(House, u32)>> = const { RefCell::new(None) };
}

/// A server at a socket in the file system, and one who calls it all the time.
struct House {
    runtime: Runtime,
    folder: TempDir,
    ground: Ground,
    client: ReadStatesServiceClient<Channel>,
    acked: u64,
}

/// Sends what is drawn over a connection of its own, and ends.
pub fn run(bytes: &[u8]) {
    let sent = http2::sent(&mut Draw::new(bytes));
    HOUSE.with_borrow_mut(|house| {
        let (mut at_work, used) = house.take().unwrap_or_else(|| (House::open(), 0));
        at_work.visit(&sent);
        *house = (used < CONNECTIONS_MAX).then_some((at_work, used + 1));
    });
}

/// A call of each method, and frames of each sort.
pub fn seeds() -> Vec<Vec<u8>> {
    http2::seeds(&examples())
}

impl House {
    fn open() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("grpc.sock");
        let (ground, client) = runtime.block_on(async {
            let ground = Ground::new(ENTRIES).await;
            let config = Config::default();
            let connections = ground.metrics.connections.clone();
            let edge = Edge::new(&config, port(&ground), None, connections.clone());
            let address = ListenAddress::Unix(path.clone());
            let listener = Listener::bind(&address).await.expect("it is free");
            let (table, dealt) = Table::new(connections.of("fuzz"));
            let dealer = Dealer::new(&config, vec![listener], vec![table], connections);
            tokio::spawn(async move { dealer.deal().await });
            tokio::spawn(edge.serve(dealt));
            let connector = service_fn(move |_| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            let endpoint = Endpoint::from_static("http://localhost");
            let channel = endpoint.connect_with_connector(connector).await.expect("it listens");
            (ground, ReadStatesServiceClient::new(channel))
        });
        Self { runtime, folder, ground, client, acked: 0 }
    }

    fn visit(&mut self, sent: &[u8]) {
        let path = self.folder.path().join("grpc.sock");
        self.acked += 1;
        let message_id = self.acked;
        let ack = AckRequest { user_id: 1 << 50, channel_id: 1, message_id, ..Default::default() };
        self.runtime.block_on(async {
            let stream = UnixStream::connect(path).await.expect("it listens");
            let answered = timeout(END_WITHIN, exchange(stream, sent)).await;
            let answered = answered.expect("the connection ends when its peer has");
            let answer_bytes_max = ANSWER_BYTES + sent.len() * ANSWER_BYTES_PER_BYTE;
            assert!(answered <= answer_bytes_max, "{answered} bytes for {} sent", sent.len());
            let done = timeout(END_WITHIN, self.client.ack(ack)).await.expect("it is answered");
            let state = done.expect("it is done").into_inner().state.expect("a state");
            assert!(state.last_acked_id >= message_id);
            let metrics = &self.ground.metrics;
            let open = metrics.connections.of("fuzz");
            for turn in 0.. {
                // The one of the client is left, without a call.
                if open.get() == 1 && metrics.in_flight_requests.get() == 0 {
                    break;
                }
                assert!(turn < TURNS_MAX, "it leaves connections or calls behind");
                yield_now().await;
            }
            assert_eq!(metrics.connections.waiting_bytes.get(), 0, "nobody is left to take them");
        });
    }
}

/// Sends everything, ends once no more answers come, and takes them all; how many bytes of those
/// there were.
async fn exchange(stream: UnixStream, sent: &[u8]) -> usize {
    let (mut answers, mut calls) = stream.into_split();
    let answered = Cell::new(0);
    let send = async {
        // It may be refused before everything is sent.
        if calls.write_all(sent).await.is_err() {
            return;
        }
        // Who ends at once is answered nothing.
        let (mut quiet, mut seen) = (0, 0);
        while quiet < QUIET_TURNS {
            yield_now().await;
            quiet = if answered.get() == seen { quiet + 1 } else { 0 };
            seen = answered.get();
        }
        calls.shutdown().await.ok();
    };
    let take = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(read @ 1..) = answers.read(&mut buffer).await {
            answered.set(answered.get() + read);
        }
    };
    tokio::join!(send, take);
    answered.get()
}

/// What a server answers on its port, with small bounds.
fn port(ground: &Ground) -> Port {
    let refusals = PaceBounds { per_second: 1, waiting: 4, streams_of_connection: 4 };
    let waiting_bytes = 1 << 20;
    let bounds = Bounds { in_flight: 8, bulk_in_flight: 4, streams: 4, waiting_bytes, refusals };
    let (engine, lifecycle) = (Arc::clone(&ground.engine), ground.lifecycle.clone());
    let admission = Admission::new(bounds, &ground.metrics, lifecycle.clone());
    let service = Service::new(Arc::clone(&engine), limits(), lifecycle.clone());
    let maintenance = Maintenance::new(engine, limits(), lifecycle.clone());
    let metrics = Arc::clone(&ground.metrics);
    let calls = CallLayer::new(metrics, lifecycle.clone(), None, admission, END_WITHIN / 4);
    let routes = Routes::new(ReadStatesServiceServer::new(service))
        .add_service(MaintenanceServiceServer::new(maintenance))
        .add_service(HealthServer::new(Health::new(lifecycle)));
    calls.layer(DoorLayer::new(None).layer(routes.prepare()))
}
