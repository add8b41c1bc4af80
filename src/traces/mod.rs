//! Traces: a span for each call that is sampled, sent to the collector that `OTEL_*` names.
//!
//! ```text
//! rpc     begin: traceparent -> not sampled: nothing is made
//!                            -> sampled: a span, which ends with its call
//! queue   takes what has ended; what is beyond its bound is counted and gone
//! a thread of the SDK's    batches of the queue -> collector, retried within a bound of time
//! ```
//!
//! A span says what was called, when, how it ended and under which request id: nothing that a
//! request or an answer holds. Nobody waits for the collector but the end of the server, for
//! [`STOP_LIMIT`].
//!
//! All of it is of the feature `otel`. Without that there are the same names, and nothing behind
//! them.

#[cfg(not(feature = "otel"))]
mod absent;
#[cfg(feature = "otel")]
mod call_span;
#[cfg(feature = "otel")]
mod collector;
// What needs no other crates is tested with all the rest.
#[cfg(any(feature = "otel", test))]
#[cfg_attr(not(feature = "otel"), allow(dead_code, reason = "only tests use it"))]
mod environment;
#[cfg(any(feature = "otel", test))]
#[cfg_attr(not(feature = "otel"), allow(dead_code, reason = "only tests use it"))]
mod parent;
#[cfg(feature = "otel")]
mod queue;
#[cfg(any(feature = "otel", test))]
mod sampling;
#[cfg(test)]
mod tests;
#[cfg(feature = "otel")]
mod tracer;

#[cfg(not(feature = "otel"))]
pub use absent::{CallSpan, STOP_LIMIT, Tracer};
#[cfg(feature = "otel")]
pub use call_span::CallSpan;
#[cfg(feature = "otel")]
pub use tracer::{STOP_LIMIT, Tracer};
