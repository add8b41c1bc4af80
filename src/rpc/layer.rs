//! Around every call: counting, tracing, the caller's deadline, and reasons for errors that tonic
//! makes.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::{
    admission::{Admission, Class, Place, Refusal},
    call::{Call, CallBody},
    deadline::{self, Deadline},
    owned::Owned,
    reason::Reason,
    share::Share,
    status::{Failure, reason_of_tonic},
};
use crate::{lease::Lease, lifecycle::Lifecycle, metrics::Metrics, traces::Tracer};

/// How the paths of our own services begin.
const OWN_SERVICES: &str = "/readstates.";
const POLLED_AGAIN: &str = "a future is not polled after it is ready";

/// Wraps a service; see the module's documentation.
#[derive(Clone)]
pub struct CallLayer {
    metrics: Arc<Metrics>,
    tracer: Tracer,
    lifecycle: Lifecycle,
    owned: Owned,
    admission: Admission,
    /// How long a call may take that is no stream.
    call_max: Duration,
}

impl CallLayer {
    /// Counts into `metrics`; refuses new calls of our own service once `lifecycle` drains, and
    /// while the `lease` is not held, where there is one; then it gives no answers either. Takes on
    /// what `admission` allows, and lets a call that is no stream take as long as `call_max`.
    pub fn new(
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
        lease: Option<Lease>,
        admission: Admission,
        call_max: Duration,
    ) -> Self {
        let owned = Owned::new(lease, metrics.rejections.not_owner.clone());
        let tracer = Tracer::off();
        Self { metrics, tracer, lifecycle, owned, admission, call_max }
    }

    /// The same, with spans by `tracer`; without it there are none.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { inner, layer: self.clone(), share: Share::default() }
    }
}

/// A service whose calls are counted, bounded in time and end with a reason.
#[derive(Clone)]
pub struct Calls<S> {
    inner: S,
    layer: CallLayer,
    share: Share,
}

impl<S: Clone> Calls<S> {
    /// The same for the calls of one connection, which share in the places as one.
    #[must_use]
    pub fn of_connection(&self) -> Self {
        Self { share: Share::default(), ..self.clone() }
    }
}

impl<S, B> Service<Request<B>> for Calls<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<CallBody<Body>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let metrics = Arc::clone(&self.layer.metrics);
        let mut call = Call::arrive(metrics, &self.layer.tracer, path, request.headers());
        let class = Class::of(path);
        let call_max = (!class.is_stream()).then_some(self.layer.call_max);
        let deadline = Deadline::new(request.headers(), call_max);
        let place = match self.layer.refusal(path) {
            Some(refusal) => Err(Box::new(Refusal::at_once(refusal))),
            None => self.layer.admission.admit(class, &self.share, &deadline),
        };
        let (place, refusal) = match place {
            Ok(place) => (Some(place), None),
            Err(refusal) => (None, Some(refusal)),
        };
        if refusal.is_some() {
            call.refuse();
        }
        let is_asked = refusal.is_none();
        // Whatever is answered is true only if nobody else has written meanwhile.
        let owned = (is_asked && path.starts_with(OWN_SERVICES)).then(|| self.layer.owned.clone());
        // Nothing further in learns of what is refused.
        let inner = is_asked.then(|| self.inner.call(request));
        Answering { inner, refusal, place, deadline: Some(deadline), owned, call: Some(call) }
    }
}

pin_project! {
    /// An answer on its way.
    pub struct Answering<F> {
        // None where there is a refusal.
        #[pin]
        inner: Option<F>,
        refusal: Option<Box<Refusal>>,
        // Kept by a stream until its end. Others have done their work once there is an answer:
        // what waits to be read of it is bounded by itself.
        place: Option<Place>,
        // Kept by a stream, too.
        deadline: Option<Deadline>,
        owned: Option<Owned>,
        call: Option<Call>,
    }
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<CallBody<Body>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let deadline = this.deadline.as_mut().expect(POLLED_AGAIN);
        let answered = match (this.refusal.as_mut(), this.inner.as_mut().as_pin_mut()) {
            (Some(refusal), _) => Poll::Ready(Ok(ready!(refusal.poll(context)))),
            (None, _) if deadline.is_over_before_it_began() => {
                Poll::Ready(Ok(deadline::passed().into_http()))
            }
            (None, inner) => inner.expect("what is not refused is asked").poll(context),
        };
        let response = match answered {
            Poll::Ready(response) => response,
            // What was begun goes on without this call: no write is split by its deadline.
            Poll::Pending => match deadline.poll(context) {
                Poll::Ready(()) => Ok(deadline::passed().into_http()),
                Poll::Pending => return Poll::Pending,
            },
        };
        let mut call = this.call.take().expect(POLLED_AGAIN);
        let owned = this.owned.take().unwrap_or_default();
        let place = this.place.take().filter(|place| place.class().is_stream());
        let deadline = this.deadline.take().filter(|_| place.is_some());
        let response = match owned.refusal() {
            Some(refusal) if response.is_ok() => Ok(refusal.into_http()),
            _ => response,
        };
        Poll::Ready(response.map(|mut response| {
            give_reason(response.headers_mut());
            call.answer(response.headers_mut());
            response.map(|body| CallBody::new(body, call, owned, place, deadline))
        }))
    }
}

impl CallLayer {
    /// Health goes on to be answered while the server drains.
    fn refusal(&self, path: &str) -> Option<Response<Body>> {
        if !path.starts_with(OWN_SERVICES) {
            return None;
        }
        if let Some(refusal) = self.owned.refusal() {
            return Some(refusal.into_http());
        }
        if !self.lifecycle.is_draining() {
            return None;
        }
        self.metrics.rejections.draining.inc();
        let message = "this server is shutting down; another one, or this one anew, will answer";
        Some(Status::from(Failure::new(Reason::Draining, message)).into_http())
    }
}

/// Errors that tonic makes by itself carry no reason, and some not the code of the contract.
fn give_reason(headers: &mut HeaderMap) {
    if headers.contains_key("grpc-status-details-bin") {
        return;
    }
    let Some(status) = Status::from_header_map(headers).filter(|s| s.code() != Code::Ok) else {
        return;
    };
    let Some(failure) = reason_of_tonic(&status) else { return };
    // Fails only for a message that is no header, which it was a moment ago.
    let _ = Status::from(failure).add_header(headers);
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future};

    use futures_util::future::join_all;
    use tokio::time::Instant;

    use super::*;
    use crate::rpc::{Bounds, PaceBounds};

    /// Is never asked.
    struct Behind;

    impl Service<Request<()>> for Behind {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = future::Pending<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            panic!("what is refused goes no further");
        }
    }

    /// Refuses everything, one each second.
    fn full(metrics: &Arc<Metrics>) -> Calls<Behind> {
        let refusals = PaceBounds { per_second: 1, waiting: 8, streams_of_connection: 16 };
        let (waiting_bytes, in_flight) = (1, 0);
        let bounds = Bounds { in_flight, bulk_in_flight: 0, streams: 0, waiting_bytes, refusals };
        let life = Lifecycle::new();
        let admission = Admission::new(bounds, metrics, life.clone());
        CallLayer::new(Arc::clone(metrics), life, None, admission, Duration::MAX).layer(Behind)
    }

    type Asked = Answering<future::Pending<Result<Response<Body>, Infallible>>>;

    fn call(calls: &mut Calls<Behind>, method: &str, timeout: &str) -> Asked {
        let path = format!("/readstates.v1.ReadStatesService/{method}");
        let request = Request::builder().uri(path).header("grpc-timeout", timeout);
        calls.call(request.body(()).expect("a request"))
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_beyond_the_pace_are_told_later_and_soon_enough_to_be_heard() {
        let metrics = Arc::new(Metrics::new().expect("names are valid"));
        let mut calls = full(&metrics);
        let began = Instant::now();
        let asked = [
            ("List", "10S"),
            ("List", "10S"),
            ("Ack", "1500m"),
            ("ApplyStream", "10S"),
            ("Get", "10S"),
        ];
        let asked = asked.map(|(method, timeout)| call(&mut calls, method, timeout));
        let told = join_all(asked.map(|answer| async {
            let answer = answer.await.expect("it cannot fail");
            let status = Status::from_header_map(answer.headers()).expect("a refusal");
            assert_eq!(status.code(), Code::ResourceExhausted);
            began.elapsed().as_millis()
        }));
        let [first, second, soon, stream, last] = told.await[..] else { panic!("five") };
        assert_eq!([first, second, stream, last], [0, 1000, 0, 2000]);
        assert!((375..=750).contains(&soon), "of 1,500 ms: {soon}");
        assert_eq!(metrics.rejections.waiting.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_goes_away_waits_no_longer() {
        let metrics = Arc::new(Metrics::new().expect("names are valid"));
        let mut calls = full(&metrics);
        let asked = ["10S", "10S"].map(|timeout| call(&mut calls, "List", timeout));
        assert_eq!(metrics.rejections.waiting.get(), 1);
        assert_eq!(metrics.in_flight_requests.get(), 0, "they are not served");
        drop(asked);
        assert_eq!(metrics.rejections.waiting.get(), 0);
    }
}
