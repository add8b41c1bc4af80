//! A connection from the moment that it is dealt to a runtime to its end.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, service::Service};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use prometheus::IntGauge;
use tokio::{
    select,
    sync::watch,
    time::{interval, timeout},
};
use tracing::debug;

use super::{
    backlog::{Backlog, WaitingBody},
    crowd::Place,
    identity::{self, Known},
    life::{Cut, Life, Turn},
    preface::{self, Prefaced},
    serve::Edge,
    socket::{Io, Socket},
    upload::Upload,
};
use crate::{
    doors::PeerIdentity,
    rpc::{AnswerBody, Port},
};

/// A connection that has no calls has this long to go once its server drains, and one that has some
/// once it has none, up to twice as long for the last answers to leave: a peer that says nothing
/// would never go.
const FAREWELL: Duration = Duration::from_secs(1);

/// Counts a connection at its runtime, and everywhere, for as long as it lives.
pub(super) struct Seat {
    taken: IntGauge,
    _of_all: Place,
}

impl Seat {
    /// Takes one of those that `taken` counts.
    pub fn take(taken: &IntGauge, of_all: Place) -> Self {
        taken.inc();
        Self { taken: taken.clone(), _of_all: of_all }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.taken.dec();
    }
}

/// A connection that was dealt to a runtime and that this has not taken up yet.
pub struct Dealt {
    pub(super) socket: Socket,
    pub(super) seat: Seat,
}

/// Why a connection came to no call.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it could not be taken up: {0}")]
    TakeUp(io::Error),
    #[error("it did not begin in time")]
    Late,
    #[error("it could not be encrypted: {0}")]
    Tls(io::Error),
    #[error("{0}")]
    Preface(io::Error),
}

/// Serves one connection to its end. It is asked to end once `draining`.
pub(super) async fn serve(edge: Arc<Edge>, dealt: Dealt, mut draining: watch::Receiver<bool>) {
    let Dealt { socket, seat: _seat } = dealt;
    let mut drained = pin!(async {
        // Where nobody can ask any more, the runtime ends.
        draining.wait_for(|draining| *draining).await.ok();
    });
    let opened = select! {
        opened = timeout(edge.handshake_timeout, open(&edge, socket)) => opened,
        // It has no call yet.
        () = &mut drained => return,
    };
    let (stream, known) = match opened.unwrap_or(Err(Failed::Late)) {
        Ok(opened) => opened,
        Err(error) => return edge.tell_failed(&error),
    };
    let backlog = Backlog::new(edge.metrics.waiting_bytes.clone());
    let certified = known.as_ref().map(|known| known.holds_for);
    let identity = known.map(|known| known.identity);
    let port = edge.port.of_connection();
    let calls = PeerCalls { port, identity, backlog: Arc::clone(&backlog) };
    let mut connection = pin!(edge.http.serve_connection(TokioIo::new(stream), calls));
    let mut life = Life::begin(edge.bounds, certified, &backlog);
    let (mut is_draining, mut was_idle, mut farewell) = (false, false, interval(FAREWELL));
    loop {
        select! {
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    debug!(%error, "a connection failed");
                }
                return;
            }
            () = &mut drained, if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
                farewell.reset();
            }
            // It was told, and would be gone if its peer had heard. What was answered a moment ago
            // may still be on its way.
            _ = farewell.tick(), if is_draining => {
                if backlog.is_idle() && was_idle {
                    return;
                }
                was_idle = backlog.is_idle();
            }
            turn = life.turn(&backlog) => match turn {
                Turn::AskToEnd => connection.as_mut().graceful_shutdown(),
                Turn::Cut(why) => return edge.tell_cut(why),
            }
        }
    }
}

/// Up to the first bytes of HTTP/2.
async fn open(edge: &Edge, socket: Socket) -> Result<(Prefaced, Option<Known>), Failed> {
    let tls = edge.tls.as_ref().filter(|_| socket.is_of_network());
    let stream = socket.take_up(edge.bounds.stall).map_err(Failed::TakeUp)?;
    let (stream, known): (Box<dyn Io>, _) = match tls {
        None => (stream, None),
        Some(tls) => {
            let stream = tls.acceptor().accept(stream).await.map_err(Failed::Tls)?;
            let known = identity::of(stream.get_ref().1);
            (Box::new(stream), known)
        }
    };
    Ok((preface::read(stream).await.map_err(Failed::Preface)?, known))
}

impl Edge {
    fn tell_failed(&self, error: &Failed) {
        let failures = &self.metrics.handshake_failures;
        match error {
            Failed::TakeUp(_) => &self.metrics.accept_errors,
            Failed::Late => &failures.timeout,
            Failed::Tls(_) => &failures.tls,
            Failed::Preface(_) => &failures.preface,
        }
        .inc();
        debug!(%error, "a connection came to no call");
    }

    fn tell_cut(&self, why: Cut) {
        match why {
            Cut::Age => self.metrics.cut.age.inc(),
            Cut::Certificate => self.metrics.cut.certificate.inc(),
            Cut::Stall => self.metrics.cut.stall.inc(),
        }
        debug!(?why, "a connection was cut");
    }
}

/// The calls of one connection, with who makes them.
struct PeerCalls {
    port: Port,
    identity: Option<Arc<PeerIdentity>>,
    backlog: Arc<Backlog>,
}

impl Service<Request<Incoming>> for PeerCalls {
    type Response = Response<WaitingBody<AnswerBody>>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: Request<Incoming>) -> Answering {
        if let Some(identity) = &self.identity {
            request.extensions_mut().insert(Arc::clone(identity));
        }
        // It is always ready: what is too much is refused within the call.
        let request = request.map(Upload::new);
        let answer = tower::Service::call(&mut self.port.clone(), request);
        Answering { answer, backlog: Arc::clone(&self.backlog) }
    }
}

pin_project! {
    /// An answer on its way into the backlog.
    struct Answering {
        #[pin]
        answer: <Port as tower::Service<Request<Upload<Incoming>>>>::Future,
        backlog: Arc<Backlog>,
    }
}

impl Future for Answering {
    type Output = Result<Response<WaitingBody<AnswerBody>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.answer.poll(context).map_ok(|response| {
            response.map(|body| WaitingBody::new(body, Arc::clone(this.backlog)))
        })
    }
}
