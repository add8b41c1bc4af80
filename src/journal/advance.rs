//! Moves the horizon on, and removes what is below it.

use tracing::warn;

use crate::{model::Sequence, store::CommitNumber};

use super::{JournalError, SegmentId, shared::Shared};

impl Shared {
    /// See [`super::Journal::advance`].
    pub fn advance(&self, horizon: Sequence, commits: CommitNumber) -> Result<(), JournalError> {
        let freed = self.write_manifest(horizon, commits)?;
        // The manifest says that they do not count any more: they may go in any order, and those
        // that do not go now do so when the journal is opened next.
        for segment in freed {
            let name = segment.file_name();
            if let Err(error) = self.disk.remove(&name) {
                warn!(folder = self.disk.path(), name, %error, "an old segment stays for now");
            }
        }
        Ok(())
    }

    /// Writes the horizon down, and which segments count from now on; those that do not.
    fn write_manifest(
        &self,
        horizon: Sequence,
        commits: CommitNumber,
    ) -> Result<Vec<SegmentId>, JournalError> {
        let _folder = self.folder.lock();
        if let Some(end) = self.durable.ended() {
            return Err(end);
        }
        let mut books = self.books.lock();
        let mut manifest = books.manifest;
        let before = manifest.horizon;
        // What is not durable cannot be in the store, whatever is said.
        manifest.horizon = horizon.min(self.durable.now()).max(before);
        manifest.commits = commits.max(manifest.commits);
        let freed = books.freeable(manifest.horizon, self.limits.size_bytes);
        manifest.oldest = books.oldest_after(freed);
        (manifest.newest, manifest.ceiling) = (books.current.0, books.ceiling);
        if manifest == books.manifest {
            return Ok(Vec::new());
        }
        drop(books);
        manifest.write(self.disk.as_ref()).map_err(|error| self.manifest_failed(error))?;
        books = self.books.lock();
        books.manifest = manifest;
        let freed = books.kept.drain(..freed).map(|kept| kept.segment).collect();
        drop(books);
        if manifest.horizon > before {
            self.note_progress();
        }
        Ok(freed)
    }

    /// A full disk spoils nothing: the manifest of before stands. All else may have lost names
    /// that others rely on (I10).
    fn manifest_failed(&self, error: JournalError) -> JournalError {
        if error.is_full_disk() {
            return error;
        }
        self.fail(&error);
        self.durable.ended().unwrap_or(error)
    }
}
