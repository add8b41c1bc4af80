//! The gRPC face: thin handlers that decode, ask the engine and encode.

mod apply_stream;
mod batch;
mod call;
mod decode;
mod encode;
mod health;
mod layer;
mod limits;
mod maintenance;
mod owned;
mod reason;
mod record;
mod service;
mod status;
mod watch;

pub use health::{Health, SERVICE_NAME};
pub use layer::CallLayer;
pub use limits::Limits;
pub use maintenance::Maintenance;
pub use service::Service;
pub use status::DOMAIN;
