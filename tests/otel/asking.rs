//! Callers that are traced themselves.

use readstates::proto::{AckRequest, GetRequest, WatchRequest, WatchTarget};
use tonic::{Request, metadata::MetadataValue};

/// Whom nothing that is exported may name; as a number it is like nothing else.
pub const USER: u64 = 7_234_567_890_123_456_789;
pub const CHANNEL: u64 = 6_987_654_321_098_765_432;

pub const SPAN: &str = "00f067aa0ba902b7";

/// Trace ids, one a call.
pub fn trace(number: u8) -> String {
    format!("4bf92f3577b34da6a3ce929d0e0e47{number:02x}")
}

/// A request of a caller in trace `number`, which is kept if it `is_sampled`.
pub fn within<T>(number: u8, is_sampled: bool, message: T) -> Request<T> {
    let flags = u8::from(is_sampled);
    with("traceparent", &format!("00-{}-{SPAN}-{flags:02x}", trace(number)), Request::new(message))
}

pub fn with<T>(name: &'static str, value: &str, mut request: Request<T>) -> Request<T> {
    let value = MetadataValue::try_from(value).expect("it is a value");
    request.metadata_mut().append(name, value);
    request
}

pub fn ack() -> AckRequest {
    AckRequest { user_id: USER, channel_id: CHANNEL, message_id: 3, ..Default::default() }
}

pub fn get() -> GetRequest {
    GetRequest { user_id: USER, channel_id: 1, ..Default::default() }
}

pub fn watch() -> WatchRequest {
    let target = WatchTarget { user_id: USER, from_now: true, ..Default::default() };
    WatchRequest { targets: vec![target] }
}

/// Digits of hexadecimal numbers.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
