//! The gRPC face: thin handlers that decode, ask the engine and encode.

mod admission;
mod apply_stream;
mod batch;
mod call;
mod deadline;
mod decode;
mod doorway;
mod encode;
mod guarded;
mod health;
mod layer;
mod limits;
mod maintenance;
mod owned;
mod pace;
mod reason;
mod record;
mod request_id;
mod service;
mod share;
mod status;
mod watch;

pub use admission::{Admission, Bounds};
pub use doorway::DoorLayer;
pub use health::{Health, SERVICE_NAME};
pub use layer::CallLayer;
pub use limits::Limits;
pub use maintenance::Maintenance;
pub use pace::{LATE_MAX as REFUSED_WITHIN, PaceBounds};
pub use service::Service;
pub use status::DOMAIN;

/// Everything that is answered: the services, behind their doors, within what wraps their calls.
pub type Port = layer::Calls<doorway::Doorway<tonic::service::Routes>>;

/// The body of an answer.
pub type AnswerBody = call::CallBody<tonic::body::Body>;
