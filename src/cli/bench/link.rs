//! One connection, made anew where it broke. Calls go straight to it, without the queue and the
//! task that stand before each of tonic's channels.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::Mutex};
use tonic::{Status, body::Body};
use tonic_health::pb::health_client::HealthClient;

use crate::{cli::target::Address, proto::read_states_service_client::ReadStatesServiceClient};

/// The generated client over such a connection.
pub type Caller = ReadStatesServiceClient<Link>;

/// Clients of both services over one connection.
pub struct Callers {
    /// Of ours.
    pub states: Caller,
    /// Of the health checks.
    pub health: HealthClient<Link>,
}

/// Longest time until a connection is made.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// The port where a target names none.
const PORT: u16 = 80;
/// Longest answer that is taken: the states of a user of 10,000 channels fit many times.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// One connection of one thread.
#[derive(Clone)]
pub struct Link(Rc<Line>);

struct Line {
    target: Address,
    sender: RefCell<Option<SendRequest<Body>>>,
    /// Held while one caller connects; the others wait for what comes of it.
    connecting: Mutex<()>,
    /// When connecting last failed, and how.
    failed: Cell<Option<Instant>>,
    failure: RefCell<Option<Status>>,
}

impl Link {
    /// Connects to `target`.
    pub async fn connect(target: Address) -> Result<Self, Status> {
        let link = Self(Rc::new(Line {
            target,
            sender: RefCell::default(),
            connecting: Mutex::default(),
            failed: Cell::default(),
            failure: RefCell::default(),
        }));
        link.sender().await?;
        Ok(link)
    }

    /// A client over this connection.
    pub fn caller(&self) -> Caller {
        let caller = Caller::with_origin(self.clone(), self.0.target.uri.clone());
        caller.max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// As [`Self::caller`], of both services.
    pub fn callers(&self) -> Callers {
        let health = HealthClient::with_origin(self.clone(), self.0.target.uri.clone());
        Callers { states: self.caller(), health }
    }

    async fn sender(&self) -> Result<SendRequest<Body>, Status> {
        if let Some(sender) = self.ready() {
            return Ok(sender);
        }
        let asked_at = Instant::now();
        let _connecting = self.0.connecting.lock().await;
        if let Some(sender) = self.ready() {
            return Ok(sender);
        }
        // Another caller has just tried, in this one's stead.
        let failure = self.0.failure.borrow().clone();
        if let Some(failure) = failure.filter(|_| self.0.failed.get() >= Some(asked_at)) {
            return Err(failure);
        }
        let connected = match tokio::time::timeout(CONNECT_DEADLINE, dial(&self.0.target.uri)).await
        {
            Ok(connected) => connected,
            Err(_) => Err("no connection within the deadline".to_owned()),
        };
        self.settle(connected)
    }

    fn ready(&self) -> Option<SendRequest<Body>> {
        self.0.sender.borrow().as_ref().filter(|sender| !sender.is_closed()).cloned()
    }

    fn settle(
        &self,
        connected: Result<SendRequest<Body>, String>,
    ) -> Result<SendRequest<Body>, Status> {
        let sender = connected.map_err(|cause| {
            let message = format!("cannot connect to {}: {cause}", self.0.target.uri);
            let failure = Status::unavailable(message);
            self.0.failed.set(Some(Instant::now()));
            self.0.failure.replace(Some(failure.clone()));
            failure
        })?;
        self.0.sender.replace(Some(sender.clone()));
        Ok(sender)
    }
}

async fn dial(target: &Uri) -> Result<SendRequest<Body>, String> {
    let host = target.host().unwrap_or_default().trim_matches(['[', ']']);
    let address = (host, target.port_u16().unwrap_or(PORT));
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    // Its end is met by the callers, in their calls.
    tokio::spawn(async { connection.await.ok() });
    poll_fn(|context| sender.poll_ready(context)).await.map_err(|error| error.to_string())?;
    Ok(sender)
}

impl tower::Service<Request<Body>> for Link {
    type Response = Response<Incoming>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        self.0.target.bearer.sign(&mut request);
        let link = self.clone();
        Box::pin(async move { Ok(link.sender().await?.send_request(request).await?) })
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;
    use crate::{
        cli::{bearer::Bearer, fake::Fake},
        proto::AckRequest,
    };

    fn ack() -> AckRequest {
        AckRequest { user_id: 1, channel_id: 2, message_id: 3, ..AckRequest::default() }
    }

    fn target(address: &str) -> Address {
        let uri = format!("http://{address}").parse().unwrap();
        Address { uri, bearer: Bearer::default() }
    }

    #[tokio::test]
    async fn a_connection_that_broke_is_made_anew() {
        let fake = Fake::default();
        let server = fake.start("127.0.0.1:0");
        let address = server.address.to_string();
        let link = Link::connect(target(&address)).await.unwrap();
        link.caller().ack(ack()).await.unwrap();
        drop(server);
        link.caller().ack(ack()).await.unwrap_err();
        let refused = link.caller().ack(ack()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        let _server = fake.start(&address);
        link.caller().ack(ack()).await.unwrap();
        assert_eq!(fake.calls(), 2);
    }

    #[tokio::test]
    async fn nobody_listening_is_told_with_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let Err(status) = Link::connect(target(&address)).await else { panic!("nobody listens") };
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains(&address), "{status:?}");
    }
}
