//! Lets the cache write into the journal, of which it knows nothing.

use crate::{
    cache::Log,
    journal::Journal,
    model::{Key, ReadState, Sequence, UserId, Version},
};

/// The journal as the cache sees it.
pub struct JournalLog(pub Journal);

impl Log for JournalLog {
    fn append_state(&self, key: &Key, state: &ReadState) -> Sequence {
        self.0.append_state(key, state)
    }

    fn append_deletion(&self, user: UserId, version: Version) -> Sequence {
        self.0.append_deletion(user, version)
    }
}
