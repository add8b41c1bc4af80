//! readstates remembers, for every user and channel, what has been read and how many mentions wait.

pub mod admin;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod engine;
pub mod flush;
pub mod lifecycle;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod rpc;
pub mod server;
pub mod store;

/// The contract, generated from `proto/readstates/v1/readstates.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto {
    tonic::include_proto!("readstates.v1");

    /// The contract's descriptors, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/readstates.v1.bin"));
}
