//! One call from arrival to end: counted when it comes, counted with its code when it goes, however
//! it goes.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Code, Status};

use super::owned::Owned;
use crate::metrics::{Metrics, RpcMetrics};

/// Counts itself in flight while it lives. A call that is dropped without an end was cancelled.
pub(super) struct Call {
    metrics: Arc<Metrics>,
    method: Arc<RpcMetrics>,
    arrived: Instant,
    code: Option<i32>,
}

impl Call {
    pub fn arrive(metrics: Arc<Metrics>, path: &str) -> Self {
        let method = Arc::clone(metrics.rpc.method(path));
        method.start();
        metrics.in_flight_requests.inc();
        Self { metrics, method, arrived: Instant::now(), code: None }
    }

    /// Takes the code from the headers of an answer without a body, or from trailers.
    pub fn read_code(&mut self, headers: &HeaderMap) {
        let status = headers.get("grpc-status").and_then(|status| status.to_str().ok());
        if let Some(code) = status.and_then(|status| status.parse().ok()) {
            self.code = Some(code);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.metrics.in_flight_requests.dec();
        self.method.finish(self.code.unwrap_or(Code::Cancelled as i32), self.arrived.elapsed());
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
    }
}

impl<B> CallBody<B> {
    pub(super) fn new(body: B, call: Call, owned: Owned) -> Self {
        Self { body, call: Some(call), owned, is_cut: false }
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
        let mut frame = ready!(this.body.poll_frame(context));
        if frame.as_ref().is_some_and(|frame| frame.as_ref().is_ok_and(Frame::is_data))
            && let Some(trailers) = this.owned.refusal().and_then(trailers)
        {
            // The message stays behind: it may not be true any more.
            *this.is_cut = true;
            frame = Some(Ok(Frame::trailers(trailers)));
        }
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(call), Some(trailers)) = (this.call.as_mut(), frame.trailers_ref()) {
                    call.read_code(trailers);
                }
            }
            Some(Err(_)) | None => drop(this.call.take()),
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
