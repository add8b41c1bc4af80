//! Whether this server may answer: where others could write to the same store, only while it holds
//! the lease.

use prometheus::IntCounter;
use tonic::Status;

use super::{reason::Reason, status::Failure};
use crate::lease::Lease;

/// Asked when a call comes, and again before each message of its answer goes: what was made durable
/// after the lease had lapsed may be on top of what another has changed meanwhile.
#[derive(Clone, Default)]
pub(super) struct Owned(Option<(Lease, IntCounter)>);

impl Owned {
    pub fn new(lease: Option<Lease>, refused: IntCounter) -> Self {
        Self(lease.map(|lease| (lease, refused)))
    }

    /// Why nothing may be answered now, if that is so; it is counted.
    pub fn refusal(&self) -> Option<Status> {
        let (lease, refused) = self.0.as_ref()?;
        let error = lease.check().err()?;
        refused.inc();
        Some(Failure::new(Reason::NotOwner, error.to_string()).into())
    }
}
