//! Room for records that will be appended soon.

use std::sync::Arc;

use super::shared::Shared;

/// Room in memory and on the disk for records to come. What their bytes do not take is given back
/// when it is dropped, which should be once they are appended.
#[must_use = "it gives its room back when it is dropped"]
pub struct Reservation {
    shared: Arc<Shared>,
    bytes: i64,
}

impl Reservation {
    pub(super) fn new(shared: Arc<Shared>, bytes: i64) -> Self {
        Self { shared, bytes }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // What was appended under it was charged by itself.
        self.shared.allowance.give_back(self.bytes);
        // Here and not at the append, which is under a shard's lock.
        self.shared.nudge();
    }
}
