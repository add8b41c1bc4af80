//! One call from arrival to end: counted when it comes, counted with its code when it goes, however
//! it goes; and with a span between the two, if it is traced.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tracing::debug;

use super::{
    admission::Place,
    deadline::{self, Deadline},
    owned::Owned,
    request_id::{self, RequestId},
};
use crate::{
    metrics::{Metrics, RpcMetrics},
    traces::{CallSpan, Tracer},
};

/// Counts itself in flight while it lives. A call that is dropped without an end was cancelled.
pub(super) struct Call {
    metrics: Arc<Metrics>,
    method: Arc<RpcMetrics>,
    arrived: Instant,
    /// Of one that is refused, which may be told so later, how long that took to decide.
    refused_in: Option<Duration>,
    code: Option<i32>,
    id: Option<RequestId>,
    span: CallSpan,
}

impl Call {
    pub fn arrive(metrics: Arc<Metrics>, tracer: &Tracer, path: &str, headers: &HeaderMap) -> Self {
        let method = Arc::clone(metrics.rpc.method(path));
        method.start();
        metrics.in_flight_requests.inc();
        let id = RequestId::given(headers);
        let span = tracer.begin(method.name(), headers);
        Self { metrics, method, arrived: Instant::now(), refused_in: None, code: None, id, span }
    }

    /// Notes that it is refused: it is not being served from here on.
    pub fn refuse(&mut self) {
        self.metrics.in_flight_requests.dec();
        self.refused_in = Some(self.arrived.elapsed());
    }

    /// Sees the headers of the answer, which of one without a body have its code.
    pub fn answer(&mut self, headers: &mut HeaderMap) {
        if let Some(id) = &self.id {
            id.write(headers);
        }
        self.end(headers);
    }

    /// Sees what ends the answer, if it has a code: the trailers, or the headers in their place.
    fn end(&mut self, headers: &mut HeaderMap) {
        let status = headers.get("grpc-status").and_then(|status| status.to_str().ok());
        let Some(code) = status.and_then(|status| status.parse().ok()) else { return };
        self.code = Some(code);
        if request_id::is_own(Code::from(code)) {
            let trace_id = self.span.trace_id();
            request_id::report(&mut self.id, self.method.name(), trace_id, headers);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.refused_in.is_none() {
            self.metrics.in_flight_requests.dec();
        }
        let code = self.code.unwrap_or(Code::Cancelled as i32);
        self.method.finish(code, self.refused_in.unwrap_or_else(|| self.arrived.elapsed()));
        self.span.end(code, self.id.as_ref());
        if let Some(id) = &self.id {
            let (method, code) = (self.method.name(), Code::from(code));
            debug!(request_id = %id, method, ?code, "a call ended");
        }
    }
}

pin_project! {
    /// The body of an answer, which ends its call.
    pub struct CallBody<B> {
        #[pin]
        body: B,
        call: Option<Call>,
        owned: Owned,
        is_cut: bool,
        place: Option<Place>,
        deadline: Option<Deadline>,
    }
}

impl<B> CallBody<B> {
    /// A stream has a `place`, and ends with its `deadline`.
    pub(super) fn new(
        body: B,
        call: Call,
        owned: Owned,
        place: Option<Place>,
        deadline: Option<Deadline>,
    ) -> Self {
        Self { body, call: Some(call), owned, is_cut: false, place, deadline }
    }
}

fn trailers(status: Status) -> Option<HeaderMap> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers).ok().map(|()| trailers)
}

impl<B: Body> Body for CallBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        if *this.is_cut {
            return Poll::Ready(None);
        }
        let is_late = this.deadline.as_mut().is_some_and(|at| at.poll(context).is_ready());
        let end = if is_late { trailers(deadline::passed()) } else { None };
        let mut frame = match end {
            Some(trailers) => {
                *this.is_cut = true;
                Some(Ok(Frame::trailers(trailers)))
            }
            None => ready!(this.body.poll_frame(context)),
        };
        if frame.as_ref().is_some_and(|frame| frame.as_ref().is_ok_and(Frame::is_data))
            && let Some(trailers) = this.owned.refusal().and_then(trailers)
        {
            // The message stays behind: it may not be true any more.
            *this.is_cut = true;
            frame = Some(Ok(Frame::trailers(trailers)));
        }
        match &mut frame {
            Some(Ok(frame)) => {
                if let (Some(call), Some(trailers)) = (this.call.as_mut(), frame.trailers_mut()) {
                    call.end(trailers);
                }
            }
            Some(Err(_)) | None => {
                drop(this.call.take());
                drop(this.place.take());
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_cut || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future};

    use http::{Request, Response};
    use tonic::body::Body as AnyBody;
    use tower::{Layer as _, Service};

    use super::*;
    use crate::{
        lifecycle::{Lifecycle, Phase},
        rpc::{Admission, CallLayer},
    };

    const OWN: &str = "/readstates.v1.ReadStatesService/Get";
    const HEALTH: &str = "/grpc.health.v1.Health/Check";
    const ID: &str = "x-request-id";

    /// Answers everything at once.
    struct Answers;

    impl Service<Request<()>> for Answers {
        type Response = Response<AnyBody>;
        type Error = Infallible;
        type Future = future::Ready<Result<Response<AnyBody>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            future::ready(Ok(Response::new(AnyBody::empty())))
        }
    }

    /// The id in the answer of a server that drains: it refuses its own calls.
    async fn answered(path: &str, id: Option<&str>) -> Option<String> {
        let metrics = Arc::new(Metrics::new().expect("names are valid"));
        let life = Lifecycle::new();
        life.advance(Phase::Draining);
        let mut request = Request::builder().uri(path);
        if let Some(id) = id {
            request = request.header(ID, id);
        }
        let request = request.body(()).expect("a request");
        let admission = Admission::of_all(&metrics);
        let layer = CallLayer::new(metrics, life, None, admission, Duration::MAX);
        let answer = layer.layer(Answers).call(request).await;
        let answer = answer.expect("it cannot fail");
        answer.headers().get(ID).map(|id| id.to_str().expect("it is text").to_owned())
    }

    #[tokio::test]
    async fn an_id_comes_back_whatever_the_answer_is() {
        for path in [OWN, HEALTH] {
            assert_eq!(answered(path, Some("mine")).await.as_deref(), Some("mine"), "{path}");
        }
    }

    #[tokio::test]
    async fn only_what_fails_is_given_an_id() {
        assert_eq!(answered(HEALTH, None).await, None);
        let (first, second) = (answered(OWN, None).await, answered(OWN, None).await);
        assert_eq!(first.as_ref().map(String::len), Some(32));
        assert_ne!(first, second);
    }
}
