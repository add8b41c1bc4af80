//! The span of one call, in the words of OpenTelemetry's conventions for RPC.

use std::fmt::Display;

use opentelemetry::{
    KeyValue,
    trace::{Span as _, Status, TraceId},
};
use opentelemetry_sdk::trace::Span;
use tonic::Code;

/// Recorded if its call is sampled; else a pointer to nothing. A stream has one for its whole life.
#[derive(Debug)]
pub struct CallSpan(Option<Box<Span>>);

impl CallSpan {
    /// Of a call that is not traced.
    pub(super) const NONE: Self = Self(None);

    /// `span`, if it is recorded, of a call of `method`, such as
    /// `readstates.v1.ReadStatesService/Ack`.
    pub(super) fn new(mut span: Span, method: &str) -> Self {
        if !span.is_recording() {
            return Self::NONE;
        }
        let (service, name) = method.split_once('/').unwrap_or(("", method));
        span.update_name(method.to_owned());
        span.set_attributes([
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", service.to_owned()),
            KeyValue::new("rpc.method", name.to_owned()),
        ]);
        Self(Some(Box::new(span)))
    }

    /// The trace that it is in, if it is recorded.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.0.as_ref().map(|span| span.span_context().trace_id())
    }

    /// The call has ended with the gRPC code of that number. Only the first end counts.
    pub fn end(&mut self, code: i32, request_id: Option<impl Display>) {
        let Some(mut span) = self.0.take() else { return };
        span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code)));
        if let Some(id) = request_id {
            span.set_attribute(KeyValue::new("readstates.request_id", id.to_string()));
        }
        if is_error(Code::from(code)) {
            // Without words: those of an answer may name a user.
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// Whether it is the server's error, as the conventions have it: not what a caller can mend.
fn is_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
