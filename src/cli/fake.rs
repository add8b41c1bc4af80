//! A server for tests of the client: answers `Ack`, `FanOut` and `List` by the definition of a read
//! state, `Apply` and `ApplyStream` for acks only, and misbehaves on demand.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::StreamExt as _;
use http::{Request, Response};
use parking_lot::Mutex;
use tokio::{net::TcpListener, runtime::Runtime, sync::Notify};
use tokio_stream::{Stream, wrappers::TcpListenerStream};
use tonic::{
    Status, Streaming,
    body::Body,
    server::{Grpc, NamedService, StreamingService, UnaryService},
    transport::Server,
};
use tonic_prost::ProstCodec;

use crate::proto::{
    AckRequest, AckResponse, ApplyRequest, ApplyResponse, ApplyStreamRequest, ApplyStreamResponse,
    FanOutRequest, FanOutResponse, ListRequest, ListResponse, Operation, OperationResult,
    ReadState, operation::Operation as Kind, read_states_service_server::SERVICE_NAME,
};

/// Rows in a page of `List`, whatever is asked for, so that there are many pages.
const PAGE_ROWS: usize = 2;

/// One pair of user and channel.
#[derive(Default)]
struct Pair {
    last_acked_id: u64,
    mentioned_in: BTreeSet<u64>,
}

/// What a fake holds; it outlives the server.
#[derive(Default)]
struct Memory {
    pairs: BTreeMap<(u64, u64), Pair>,
    calls: u64,
    /// The next calls are answered by this until it is used up.
    failures: Vec<Status>,
    /// At this call `reached` is told.
    call_to_tell: u64,
    /// The next call is answered only after this.
    stall: Option<Duration>,
    refuses_streams: bool,
}

/// The server's memory and its way to misbehave.
#[derive(Clone, Default)]
pub struct Fake {
    memory: Arc<Mutex<Memory>>,
    reached: Arc<Notify>,
}

/// A running server; to drop it is to kill it, connections and all, and to free its port.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // On a thread of its own, because a runtime may not be waited for from within another.
        let runtime = self.runtime.take();
        std::thread::spawn(move || drop(runtime)).join().unwrap();
    }
}

impl Fake {
    /// Starts a server with this memory on `address`, with threads of its own.
    pub fn start(&self, address: &str) -> Running {
        self.serve(std::net::TcpListener::bind(address).unwrap())
    }

    /// Starts a server with this memory on `listener`. Whoever keeps another hold of the listener
    /// keeps the port too when the server dies: connections then wait for who accepts them.
    pub fn serve(&self, listener: std::net::TcpListener) -> Running {
        let runtime = Runtime::new().unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let fake = self.clone();
        runtime.spawn(async move {
            let incoming = TcpListenerStream::new(TcpListener::from_std(listener).unwrap());
            Server::builder().add_service(fake).serve_with_incoming(incoming).await
        });
        Running { address, runtime: Some(runtime) }
    }

    /// The next calls fail, each with one of these.
    pub fn fail(&self, failures: Vec<Status>) {
        self.memory.lock().failures.extend(failures);
    }

    /// The next call is answered only after `stall`.
    pub fn stall(&self, stall: Duration) {
        self.memory.lock().stall = Some(stall);
    }

    /// The pairs there are, with their watermarks.
    pub fn watermarks(&self) -> BTreeMap<(u64, u64), u64> {
        let memory = self.memory.lock();
        memory.pairs.iter().map(|(key, pair)| (*key, pair.last_acked_id)).collect()
    }

    /// Ends when `call` calls have been made. Ask for it before they are.
    pub fn reaches(&self, call: u64) -> impl Future<Output = ()> {
        self.memory.lock().call_to_tell = call;
        let reached = self.reached.clone();
        async move { reached.notified().await }
    }

    /// Calls answered so far.
    pub fn calls(&self) -> u64 {
        self.memory.lock().calls
    }

    /// From now on streams are refused, as by a server that does not know them.
    pub fn refuse_streams(&self) {
        self.memory.lock().refuses_streams = true;
    }

    fn serves_streams(&self) -> bool {
        !self.memory.lock().refuses_streams
    }

    /// Adds a row that nothing asked for.
    pub fn plant(&self, user: u64, channel: u64) {
        self.memory.lock().pairs.entry((user, channel)).or_default();
    }

    /// Forgets a row.
    pub fn lose(&self, user: u64, channel: u64) {
        self.memory.lock().pairs.remove(&(user, channel));
    }

    fn count_call(&self) -> Result<(), Status> {
        let mut memory = self.memory.lock();
        memory.calls += 1;
        if memory.calls == memory.call_to_tell {
            self.reached.notify_one();
        }
        memory.failures.pop().map_or(Ok(()), Err)
    }

    fn ack(&self, request: &AckRequest) -> AckResponse {
        let mut memory = self.memory.lock();
        let pair = memory.pairs.entry((request.user_id, request.channel_id)).or_default();
        pair.last_acked_id = pair.last_acked_id.max(request.message_id);
        AckResponse::default()
    }

    fn apply(&self, operations: &[Operation]) -> Vec<OperationResult> {
        let apply = |operation: &Operation| match &operation.operation {
            Some(Kind::Ack(ack)) => {
                self.ack(ack);
                OperationResult::default()
            }
            _ => OperationResult { code: 3, reason: "EMPTY".to_owned(), ..Default::default() },
        };
        operations.iter().map(apply).collect()
    }

    fn fan_out(&self, request: &FanOutRequest) -> FanOutResponse {
        let mut memory = self.memory.lock();
        for user in &request.user_ids {
            let pair = memory.pairs.entry((*user, request.channel_id)).or_default();
            pair.mentioned_in.insert(request.message_id);
        }
        FanOutResponse::default()
    }

    /// The page token is the channel after which to go on.
    fn list(&self, request: &ListRequest) -> ListResponse {
        let after = request.page_token.parse().unwrap_or(0);
        let memory = self.memory.lock();
        let rows = memory.pairs.range((request.user_id, after + 1)..=(request.user_id, u64::MAX));
        let states: Vec<_> = rows.take(PAGE_ROWS).map(|(key, pair)| state(*key, pair)).collect();
        let last = states.last().filter(|_| states.len() == PAGE_ROWS);
        let next_page_token = last.map_or_else(String::new, |state| state.channel_id.to_string());
        ListResponse { states, next_page_token, ..ListResponse::default() }
    }
}

fn state((user_id, channel_id): (u64, u64), pair: &Pair) -> ReadState {
    let waiting = pair.mentioned_in.range(pair.last_acked_id + 1..).count();
    ReadState {
        user_id,
        channel_id,
        last_acked_id: pair.last_acked_id,
        mention_count: u32::try_from(waiting).unwrap(),
        r#type: 1,
        ..ReadState::default()
    }
}

/// A function as a unary method.
struct Method<F>(F);

impl<M, R, F: FnMut(M) -> Result<R, Status>> UnaryService<M> for Method<F> {
    type Response = R;
    type Future = Ready<Result<tonic::Response<R>, Status>>;

    fn call(&mut self, request: tonic::Request<M>) -> Self::Future {
        ready((self.0)(request.into_inner()).map(tonic::Response::new))
    }
}

async fn answer<M, R>(
    request: Request<Body>,
    method: impl FnMut(M) -> Result<R, Status>,
) -> Response<Body>
where
    M: prost::Message + Default + 'static,
    R: prost::Message + 'static,
{
    Grpc::new(ProstCodec::<R, M>::default()).unary(Method(method), request).await
}

/// Answers every message of a stream.
struct Conversation(Fake);

type Answers = Pin<Box<dyn Stream<Item = Result<ApplyStreamResponse, Status>> + Send>>;

impl StreamingService<ApplyStreamRequest> for Conversation {
    type Response = ApplyStreamResponse;
    type ResponseStream = Answers;
    type Future = Ready<Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<ApplyStreamRequest>>) -> Self::Future {
        let fake = self.0.clone();
        let answers = request.into_inner().map(move |message| {
            let message = message?;
            fake.count_call()?;
            let results = fake.apply(&message.operations);
            Ok(ApplyStreamResponse { sequence: message.sequence, results })
        });
        ready(Ok(tonic::Response::new(Box::pin(answers))))
    }
}

impl NamedService for Fake {
    const NAME: &'static str = SERVICE_NAME;
}

impl tower::Service<Request<Body>> for Fake {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let fake = self.clone();
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let stall = self.memory.lock().stall.take();
        Box::pin(async move {
            if let Some(stall) = stall {
                tokio::time::sleep(stall).await;
            }
            Ok(match method.as_str() {
                "Ack" => answer(request, |m| fake.count_call().map(|()| fake.ack(&m))).await,
                "FanOut" => answer(request, |m| fake.count_call().map(|()| fake.fan_out(&m))).await,
                "Apply" => {
                    let apply = |m: ApplyRequest| {
                        fake.count_call()?;
                        Ok(ApplyResponse { results: fake.apply(&m.operations) })
                    };
                    answer(request, apply).await
                }
                "ApplyStream" if fake.serves_streams() => {
                    let codec = ProstCodec::<ApplyStreamResponse, ApplyStreamRequest>::default();
                    Grpc::new(codec).streaming(Conversation(fake), request).await
                }
                "List" => answer(request, |m| fake.count_call().map(|()| fake.list(&m))).await,
                _ => Status::unimplemented(method).into_http(),
            })
        })
    }
}
