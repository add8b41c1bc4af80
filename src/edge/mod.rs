//! The gRPC port from outside: who may connect, how, and for how long.
//!
//! ```text
//! listeners -> dealer: limits, a runtime each -> queue of the runtime
//! a runtime:   queue -> TLS -> preface of HTTP/2 -> HTTP/2 -> rpc      within handshake-timeout
//!              asked to end when old or when the server drains; cut when its peer has stalled
//! files     -> TLS for connections that come                          every tls-reload-every
//! ```

mod backlog;
mod connection;
mod crowd;
mod dealer;
mod identity;
mod life;
mod listener;
mod preface;
mod serve;
mod socket;
mod tls;
mod upload;

pub use connection::Dealt;
pub use dealer::{Dealer, Table};
pub use listener::Listener;
pub use serve::Edge;
pub use tls::{Tls, TlsError};
