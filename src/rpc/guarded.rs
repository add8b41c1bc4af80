//! An answer without an end of its own, which ends when its caller may not have it any more.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tonic::{Status, body::Body};

use super::doorway::{status, tell};
use crate::doors::{Denial, Pass};

/// A body whose caller is looked at before each of its messages, and whenever callers come or go
/// while it has none.
pub(super) struct Guarded {
    /// Gone once it is cut, with all that it holds.
    body: Option<Body>,
    pass: Box<Pass>,
    outdated: Pin<Box<dyn Future<Output = ()> + Send>>,
}

type Polled = Poll<Option<Result<Frame<<Body as http_body::Body>::Data>, Status>>>;

impl Guarded {
    pub fn new(body: Body, pass: Box<Pass>) -> Self {
        let outdated = Box::pin(pass.outdated());
        Self { body: Some(body), pass, outdated }
    }

    /// Ends it in place of the message that it might have had.
    fn cut(&mut self, denial: &Denial) -> Polled {
        tell(denial, self.pass.method());
        self.body = None;
        let mut trailers = HeaderMap::new();
        let frame = status(denial.denied).add_header(&mut trailers);
        Poll::Ready(Some(frame.map(|()| Frame::trailers(trailers))))
    }

    /// Returns once callers have come or gone, with what that means for this one.
    fn poll_outdated(&mut self, context: &mut Context<'_>) -> Poll<Denial> {
        while self.outdated.as_mut().poll(context).is_ready() {
            if let Err(denial) = self.pass.check() {
                return Poll::Ready(denial);
            }
            self.outdated = Box::pin(self.pass.outdated());
        }
        Poll::Pending
    }
}

impl http_body::Body for Guarded {
    type Data = <Body as http_body::Body>::Data;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        // First of all: what this stream is asked to do is done as its answer is asked for.
        if let Err(denial) = this.pass.check() {
            return this.cut(&denial);
        }
        match Pin::new(body).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(frame),
            Poll::Pending => match this.poll_outdated(context) {
                Poll::Ready(denial) => this.cut(&denial),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, |body| body.size_hint())
    }
}
