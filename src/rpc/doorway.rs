//! Where calls come in: who may not call is answered here, before anything of the call is decoded
//! and before any handler is asked.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tonic::{Status, body::Body};
use tower::{Layer, Service};
use tracing::debug;

use super::{guarded::Guarded, reason::Reason, status::Failure};
use crate::doors::{Denial, Denied, Doors, Pass, PeerIdentity, Shown};

/// Wraps a service; see the module's documentation. It belongs right around the services, within
/// what counts calls, so that those that are not let in are counted too.
#[derive(Clone)]
pub struct DoorLayer {
    doors: Option<Doors>,
}

impl DoorLayer {
    /// Asks these doors about every call; without any everyone may call everything.
    ///
    /// Whose connection it is they learn from an extension of each request: an
    /// `Arc<`[`PeerIdentity`]`>`, where the peer has shown a certificate that is trusted.
    pub fn new(doors: Option<Doors>) -> Self {
        Self { doors }
    }
}

impl<S> Layer<S> for DoorLayer {
    type Service = Doorway<S>;

    fn layer(&self, inner: S) -> Doorway<S> {
        Doorway { inner, doors: self.doors.clone() }
    }
}

/// A service that is called by those only who may.
#[derive(Clone)]
pub struct Doorway<S> {
    inner: S,
    doors: Option<Doors>,
}

impl<S, B> Service<Request<B>> for Doorway<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Entering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let admitted = self.doors.as_ref().map_or(Ok(None), |doors| admit(doors, &mut request));
        match admitted {
            Ok(pass) => Entering::Inside { inner: self.inner.call(request), pass },
            Err(refusal) => Entering::Outside { refusal: Some(refusal) },
        }
    }
}

fn admit<B>(doors: &Doors, request: &mut Request<B>) -> Result<Option<Box<Pass>>, Box<Status>> {
    let path = request.uri().path();
    let authorization = authorization(request.headers());
    let peer = request.extensions().get::<Arc<PeerIdentity>>();
    let has_token = authorization.is_some();
    let admitted = doors.admit(path, Shown { authorization, peer }).map_err(|denial| {
        tell(&denial, path);
        Box::new(status(denial.denied))
    });
    if has_token {
        // Nobody further in needs it, so nobody can show it.
        request.headers_mut().remove(AUTHORIZATION);
    }
    admitted
}

/// The value of the `authorization` header. Of two nobody can tell which one counts: that is none
/// that any caller has.
fn authorization(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    Some(if values.next().is_none() { value.as_bytes() } else { b"" })
}

/// Below what is logged by default: whoever calls could fill the log with it.
pub(super) fn tell(denial: &Denial, method: &str) {
    let Denial { denied, caller } = denial;
    debug!(caller = caller.as_deref(), method, why = %denied, "a caller is not let in");
}

pub(super) fn status(denied: Denied) -> Status {
    let reason = match denied {
        Denied::NoCredentials | Denied::Malformed | Denied::Unknown | Denied::Expired => {
            Reason::NoCredentials
        }
        Denied::Role(_) => Reason::Role,
        Denied::NoMethod => Reason::Unimplemented,
    };
    Failure::new(reason, denied.to_string()).into()
}

pin_project! {
    /// An answer on its way, or a refusal.
    #[project = EnteringProjection]
    pub enum Entering<F> {
        Inside {
            #[pin]
            inner: F,
            pass: Option<Box<Pass>>,
        },
        Outside {
            refusal: Option<Box<Status>>,
        },
    }
}

impl<F, E> Future for Entering<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            EnteringProjection::Inside { inner, pass } => {
                let response = ready!(inner.poll(context))?;
                Poll::Ready(Ok(match pass.take() {
                    Some(pass) => response.map(|body| Body::new(Guarded::new(body, pass))),
                    None => response,
                }))
            }
            EnteringProjection::Outside { refusal } => {
                let refusal = refusal.take().expect("a future is not polled after it is ready");
                Poll::Ready(Ok(refusal.into_http()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, fs, path::PathBuf};

    use http_body::{Body as _, Frame};
    use tempfile::TempDir;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
    use tonic::Code;

    use super::*;
    use crate::{
        clock::Clock,
        doors::{Digest, Keeper},
        metrics::Metrics,
    };

    const GET: &str = "/readstates.v1.ReadStatesService/Get";
    const ACK: &str = "/readstates.v1.ReadStatesService/Ack";
    const WATCH: &str = "/readstates.v1.ReadStatesService/Watch";
    const TOKEN: &str = "the-token-of-a-reader";

    /// An answer whose messages a test sends.
    struct Messages(UnboundedReceiver<&'static str>);

    impl http_body::Body for Messages {
        type Data = bytes::Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
            let message = self.0.poll_recv(context);
            message.map(|message| message.map(|message| Ok(Frame::data(message.into()))))
        }
    }

    /// Answers with the next of these, and remembers the headers that it was asked with.
    #[derive(Clone)]
    struct Inside {
        asked: UnboundedSender<HeaderMap>,
        answer: Arc<parking_lot::Mutex<Option<Messages>>>,
    }

    impl Service<Request<()>> for Inside {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<()>) -> Self::Future {
            self.asked.send(request.headers().clone()).expect("the scene is there");
            let answer = self.answer.lock().take();
            let body = answer.map_or_else(Body::empty, Body::new);
            std::future::ready(Ok(Response::new(body)))
        }
    }

    struct Scene {
        _folder: TempDir,
        path: PathBuf,
        keeper: Keeper,
        service: Doorway<Inside>,
        asked: UnboundedReceiver<HeaderMap>,
        messages: UnboundedSender<&'static str>,
    }

    fn file(name: &str, role: &str) -> String {
        let hex = Digest::of(TOKEN.as_bytes()).hex();
        format!("[[caller]]\nname = {name:?}\nroles = [{role:?}]\ntoken_sha256 = {hex:?}\n")
    }

    impl Scene {
        fn new() -> Self {
            let folder = TempDir::new().expect("a folder");
            let path = folder.path().join("callers.toml");
            let peer = "san = \"dns:gateway\"\n";
            fs::write(&path, file("reader", "reader") + peer).expect("it is written");
            let metrics = Metrics::new().expect("names are valid");
            let opened = Doors::open(&path, Clock::system(), metrics.doors);
            let (doors, keeper) = opened.expect("the file is valid");
            let (asked, asks) = unbounded_channel();
            let (messages, answer) = unbounded_channel();
            let answer = Arc::new(parking_lot::Mutex::new(Some(Messages(answer))));
            let service = DoorLayer::new(Some(doors)).layer(Inside { asked, answer });
            Self { _folder: folder, path, keeper, service, asked: asks, messages }
        }

        async fn call(&mut self, path: &str, tokens: &[&str]) -> Response<Body> {
            let mut request = Request::builder().uri(path);
            for token in tokens {
                request = request.header(AUTHORIZATION, format!("Bearer {token}"));
            }
            self.send(request.body(()).expect("a request")).await
        }

        async fn send(&mut self, request: Request<()>) -> Response<Body> {
            self.service.call(request).await.expect("it cannot fail")
        }

        async fn revoke(&mut self, file: &str) {
            fs::write(&self.path, file).expect("it is written");
            self.keeper.look().await;
        }
    }

    fn refusal(response: &Response<Body>) -> Option<Code> {
        Status::from_header_map(response.headers()).map(|status| status.code())
    }

    /// The next message; at the end the code in the trailers, if there are any.
    async fn next(body: &mut Body) -> Result<bytes::Bytes, Option<Code>> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        let Some(frame) = frame.transpose().expect("no error") else { return Err(None) };
        frame.into_data().map_err(|frame| {
            let status = frame.trailers_ref().and_then(Status::from_header_map);
            Some(status.expect("trailers have a status").code())
        })
    }

    #[tokio::test]
    async fn who_may_not_call_is_answered_here_and_nothing_behind_is_asked() {
        let mut scene = Scene::new();
        let unauthenticated = Some(Code::Unauthenticated);
        assert_eq!(refusal(&scene.call(GET, &[]).await), unauthenticated);
        assert_eq!(refusal(&scene.call(GET, &["nobody-has-this-one"]).await), unauthenticated);
        assert_eq!(refusal(&scene.call(GET, &[TOKEN, TOKEN]).await), unauthenticated);
        assert_eq!(refusal(&scene.call(ACK, &[TOKEN]).await), Some(Code::PermissionDenied));
        assert_eq!(refusal(&scene.call("/a.B/C", &[TOKEN]).await), Some(Code::Unimplemented));
        assert!(scene.asked.try_recv().is_err(), "it was let in");
    }

    #[tokio::test]
    async fn the_token_of_whoever_is_let_in_stays_at_the_door() {
        let mut scene = Scene::new();
        assert_eq!(refusal(&scene.call(GET, &[TOKEN]).await), None);
        assert!(!scene.asked.try_recv().expect("it was let in").contains_key(AUTHORIZATION));
    }

    #[tokio::test]
    async fn a_connection_with_a_certificate_needs_no_token() {
        let mut scene = Scene::new();
        let mut request = Request::builder().uri(GET).body(()).expect("a request");
        let peer = |host: &str| Arc::new(PeerIdentity::new([], [host]));
        request.extensions_mut().insert(peer("gateway"));
        assert_eq!(refusal(&scene.send(request.clone()).await), None);
        request.extensions_mut().insert(peer("stranger"));
        assert_eq!(refusal(&scene.send(request).await), Some(Code::Unauthenticated));
    }

    #[tokio::test]
    async fn a_stream_that_says_nothing_ends_when_its_caller_is_removed() {
        let mut scene = Scene::new();
        let mut body = scene.call(WATCH, &[TOKEN]).await.into_body();
        scene.messages.send("one").expect("it is read");
        assert_eq!(next(&mut body).await, Ok("one".into()));
        let ended = tokio::spawn(async move { (next(&mut body).await, body) });
        tokio::task::yield_now().await;
        // Callers come and go, and this one stays.
        scene.revoke(&file("renamed", "reader")).await;
        assert!(!ended.is_finished());
        scene.revoke("[[caller]]\nname = \"a\"\nroles = \"admin\"\nsan = \"dns:a\"\n").await;
        let (end, mut body) = ended.await.expect("no panic");
        assert_eq!(end, Err(Some(Code::Unauthenticated)));
        assert!(scene.messages.is_closed(), "what it held is gone");
        assert_eq!(next(&mut body).await, Err(None));
    }

    #[tokio::test]
    async fn a_message_that_waits_stays_behind_once_its_caller_may_not_have_it() {
        let mut scene = Scene::new();
        let mut body = scene.call(WATCH, &[TOKEN]).await.into_body();
        scene.messages.send("one").expect("it is read");
        scene.revoke(&file("reader", "writer")).await;
        assert_eq!(next(&mut body).await, Err(Some(Code::PermissionDenied)));
        assert!(body.is_end_stream());
    }
}
