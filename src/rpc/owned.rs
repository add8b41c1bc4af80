//! Whether this server may answer: where others could write to the same store, only while it holds
//! the lease.

use prometheus::IntCounter;
use tonic::Status;

use super::{reason::Reason, status::Failure};
use crate::lease::Lease;

/// Asked when a call comes, and again before each message of its answer goes: what was made durable
/// after the lease had lapsed may be on top of what another has changed meanwhile.
#[derive(Clone, Default)]
pub(super) struct Owned(Option<(Lease, IntCounter)>);

impl Owned {
    pub fn new(lease: Option<Lease>, refused: IntCounter) -> Self {
        Self(lease.map(|lease| (lease, refused)))
    }

    /// Why nothing may be answered now, if that is so; it is counted.
    pub fn refusal(&self) -> Option<Status> {
        let (lease, refused) = self.0.as_ref()?;
        let error = lease.check().err()?;
        refused.inc();
        Some(Failure::new(Reason::NotOwner, error.to_string()).into())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        convert::Infallible,
        future,
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
        task::{Context, Poll},
        time::Duration,
    };

    use http::{Request, Response};
    use http_body::{Body as _, Frame};
    use tonic::{Code, Status, body::Body};
    use tower::{Layer as _, Service};

    use crate::{
        lease::{Acquire, BootClock, HELD_FOR, Lease},
        lifecycle::Lifecycle,
        metrics::Metrics,
        rpc::{Admission, CallLayer, call::CallBody},
        store::OneRow,
    };

    const OWN: &str = "/readstates.v1.ReadStatesService/Get";
    const HEALTH: &str = "/grpc.health.v1.Health/Check";

    struct Messages(VecDeque<&'static str>);

    impl http_body::Body for Messages {
        type Data = bytes::Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
            Poll::Ready(self.0.pop_front().map(|message| Ok(Frame::data(message.into()))))
        }
    }

    /// Does `work` in each call, and answers with two messages.
    struct Answers<F>(F);

    impl<F: Fn() + Clone + Send + 'static> Service<Request<()>> for Answers<F> {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            let work = self.0.clone();
            Box::pin(async move {
                work();
                Ok(Response::new(Body::new(Messages(["one", "two"].into()))))
            })
        }
    }

    /// A server that holds the lease until the time is over.
    struct Scene {
        metrics: Arc<Metrics>,
        layer: CallLayer,
        now_ms: Arc<AtomicU64>,
    }

    impl Scene {
        async fn new() -> Self {
            let metrics = Arc::new(Metrics::new().expect("names are valid"));
            let now_ms = Arc::new(AtomicU64::new(1));
            let time = Arc::clone(&now_ms);
            let clock = BootClock::manual(move || time.load(Ordering::Relaxed));
            let wish = Acquire::new("one:7000", false);
            let table = Arc::new(OneRow::default());
            let lease = Lease::acquire(table, clock, metrics.lease.clone(), wish).await;
            let lease = lease.expect("nobody has it");
            let (counts, life) = (Arc::clone(&metrics), Lifecycle::new());
            let admission = Admission::of_all(&metrics);
            let layer = CallLayer::new(counts, life, Some(lease), admission, Duration::MAX);
            Self { metrics, layer, now_ms }
        }

        /// What lets the lease lapse.
        fn lapse(&self) -> impl Fn() + Clone + Send + 'static {
            let now_ms = Arc::clone(&self.now_ms);
            move || {
                now_ms.fetch_add(HELD_FOR.as_millis() as u64, Ordering::Relaxed);
            }
        }

        async fn call(
            &self,
            path: &str,
            work: impl Fn() + Clone + Send + 'static,
        ) -> Response<CallBody<Body>> {
            let request = Request::builder().uri(path).body(()).expect("a request");
            let answered = self.layer.layer(Answers(work)).call(request).await;
            answered.expect("it cannot fail")
        }

        fn refused(&self) -> u64 {
            self.metrics.rejections.not_owner.get()
        }
    }

    /// The next message; at the end the code in the trailers, if there are any.
    async fn next(body: &mut CallBody<Body>) -> Result<bytes::Bytes, Option<Code>> {
        let frame = future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await;
        let Some(frame) = frame.transpose().expect("no error") else { return Err(None) };
        frame.into_data().map_err(|frame| {
            let status = frame.trailers_ref().and_then(Status::from_header_map);
            Some(status.expect("trailers have a status").code())
        })
    }

    #[tokio::test]
    async fn while_the_lease_is_held_everything_is_answered() {
        let scene = Scene::new().await;
        let mut body = scene.call(OWN, || {}).await.into_body();
        assert_eq!(next(&mut body).await, Ok("one".into()));
        assert_eq!(next(&mut body).await, Ok("two".into()));
        assert_eq!(next(&mut body).await, Err(None));
        assert_eq!(scene.refused(), 0);
    }

    #[tokio::test]
    async fn what_was_done_while_the_lease_lapsed_is_not_answered() {
        let scene = Scene::new().await;
        let response = scene.call(OWN, scene.lapse()).await;
        let status = Status::from_header_map(response.headers()).expect("a refusal");
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("lease"), "{status}");
        assert_eq!(next(&mut response.into_body()).await, Err(None));
        assert_eq!(scene.refused(), 1);
    }

    #[tokio::test]
    async fn an_answer_under_way_is_cut_when_the_lease_lapses() {
        let scene = Scene::new().await;
        let mut body = scene.call(OWN, || {}).await.into_body();
        assert_eq!(next(&mut body).await, Ok("one".into()));
        scene.lapse()();
        assert_eq!(next(&mut body).await, Err(Some(Code::Unavailable)));
        assert!(body.is_end_stream());
        assert_eq!(next(&mut body).await, Err(None));
        assert_eq!(scene.refused(), 1);
    }

    #[tokio::test]
    async fn health_is_answered_without_the_lease() {
        let scene = Scene::new().await;
        let mut body = scene.call(HEALTH, scene.lapse()).await.into_body();
        assert_eq!(next(&mut body).await, Ok("one".into()));
        assert_eq!(scene.refused(), 0);
    }
}
