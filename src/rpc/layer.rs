//! Around every call: counting, the caller's deadline, and reasons for errors that tonic makes.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use super::{
    call::{Call, CallBody},
    owned::Owned,
    reason::Reason,
    status::{Failure, reason_of_tonic},
};
use crate::{lease::Lease, lifecycle::Lifecycle, metrics::Metrics};

/// How the paths of our own services begin.
const OWN_SERVICES: &str = "/readstates.";

/// Wraps a service; see the module's documentation.
#[derive(Clone)]
pub struct CallLayer {
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
    owned: Owned,
}

impl CallLayer {
    /// Counts into `metrics`; refuses new calls of our own service once `lifecycle` drains, and
    /// while the `lease` is not held, where there is one; then it gives no answers either.
    pub fn new(metrics: Arc<Metrics>, lifecycle: Lifecycle, lease: Option<Lease>) -> Self {
        let owned = Owned::new(lease, metrics.rejections.not_owner.clone());
        Self { metrics, lifecycle, owned }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls { inner, layer: self.clone() }
    }
}

/// A service whose calls are counted, bounded in time and end with a reason.
#[derive(Clone)]
pub struct Calls<S> {
    inner: S,
    layer: CallLayer,
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
        let call = Call::arrive(Arc::clone(&self.layer.metrics), path);
        let refusal = self.layer.refusal(path);
        // Whatever is answered is true only if nobody else has written meanwhile.
        let is_asked = refusal.is_none() && path.starts_with(OWN_SERVICES);
        let owned = is_asked.then(|| self.layer.owned.clone());
        // Made before the call is polled, so that it is never later than tonic's own timer, which
        // would answer CANCELLED.
        let deadline = deadline(request.headers()).map(sleep);
        Answering { inner: self.inner.call(request), refusal, deadline, owned, call: Some(call) }
    }
}

pin_project! {
    /// An answer on its way.
    pub struct Answering<F> {
        #[pin]
        inner: F,
        // Stands for the inner answer, which then is never asked for.
        refusal: Option<Response<Body>>,
        #[pin]
        deadline: Option<Sleep>,
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
        let this = self.project();
        let answered = match this.refusal.take() {
            Some(refusal) => Poll::Ready(Ok(refusal)),
            None => this.inner.poll(context),
        };
        let response = match answered {
            Poll::Ready(response) => response,
            // What was begun goes on without this call: no write is split by its deadline.
            Poll::Pending => match this.deadline.as_pin_mut().map(|sleep| sleep.poll(context)) {
                Some(Poll::Ready(())) => Ok(deadline_passed()),
                _ => return Poll::Pending,
            },
        };
        let call = this.call.take();
        let owned = this.owned.take().unwrap_or_default();
        let response = match owned.refusal() {
            Some(refusal) if response.is_ok() => Ok(refusal.into_http()),
            _ => response,
        };
        Poll::Ready(response.map(|mut response| {
            give_reason(response.headers_mut());
            let mut call = call.expect("a future is not polled after it is ready");
            call.read_code(response.headers());
            response.map(|body| CallBody::new(body, call, owned))
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

fn deadline_passed() -> Response<Body> {
    let message = "the deadline passed; the outcome may be either, a retry settles it";
    Status::from(Failure::new(Reason::Deadline, message)).into_http()
}

/// The `grpc-timeout` of the protocol: up to 8 digits and a unit.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
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
    use super::*;

    #[test]
    fn deadlines_of_every_unit_are_read_and_others_ignored() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            deadline(&headers)
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("0n"), Some(Duration::ZERO));
        for wrong in ["", "S", "5", "123456789S", "-1S", "5x", "1.5S"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
