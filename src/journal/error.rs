//! What can go wrong with a journal.

use std::{io, sync::Arc};

use super::{Damage, Disk, disk::FOLDER};

/// A journal did not do what was asked of it. Every message says what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// A file is missing, cut or changed. Nothing was changed by finding that.
    #[error(
        "the journal is damaged: {damage}. Nothing was changed. See all of it with `readstates \
         journal inspect --data-dir {data_dir}`; put the whole data directory back from a copy, \
         journal and store of the same moment, or keep what still checks with `readstates journal \
         repair --accept-loss --data-dir {data_dir}`",
        damage = .0, data_dir = data_dir(&.0.folder)
    )]
    Damaged(Damage),
    /// A newer release wrote it. Nothing was changed.
    #[error(
        "{file} is of a newer release: {what}. Nothing was changed. Start that release or a later \
         one"
    )]
    NewerFormat {
        /// Which file, with its folder.
        file: String,
        /// What in it is newer.
        what: String,
    },
    /// Another process has the journal.
    #[error("{folder} is in use by another process; stop that one, or choose another --data-dir")]
    Locked {
        /// The folder of the journal.
        folder: String,
    },
    /// The store is not the one that the journal belongs to.
    #[error(
        "the store is not the one that the journal in {folder} belongs to: {what}. Nothing was \
         changed. Put the right store back, or the whole data directory from a copy: journal and \
         store of the same moment"
    )]
    StoreForeign {
        /// The folder of the journal.
        folder: String,
        /// How the store differs.
        what: String,
    },
    /// The store lost writes that it had confirmed, and the journal does not have them any more.
    #[error(
        "the store lost writes: {what}. The journal in {folder} does not reach back that far. \
         Nothing was changed. Put the whole data directory back from a copy that has them: journal \
         and store of the same moment"
    )]
    StoreLost {
        /// The folder of the journal.
        folder: String,
        /// Which writes.
        what: String,
    },
    /// An input or output error of the journal's files.
    #[error("{doing} {file} failed: {error}")]
    Io {
        /// What was being done, as in "reading".
        doing: &'static str,
        /// With which file, with its folder.
        file: String,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// A write failed before: nothing is acknowledged any more until a restart (I10).
    #[error("the journal failed and takes nothing more until a restart: {0}")]
    Failed(Arc<Self>),
    /// There is no room.
    #[error("the disk of the journal in {folder} is full: {what}")]
    DiskFull {
        /// The folder of the journal.
        folder: String,
        /// Which limit was met, and what to do.
        what: String,
    },
    /// More records than the journal ever has room for at once.
    #[error("{records} records are too many at once for the journal; {records_max} are the most")]
    TooMany {
        /// How many were asked for.
        records: usize,
        /// How many may be.
        records_max: usize,
    },
    /// A segment or a record has a number near the last one there is: what would come next could
    /// take the place of another. Nothing was changed.
    #[error(
        "the journal in {folder} has no number left for {what}. Nothing was changed. No server \
         counts that far: move the file that does out of the folder and try again, or put the \
         whole data directory back from a copy, journal and store of the same moment"
    )]
    NumbersExhausted {
        /// The folder of the journal.
        folder: String,
        /// For what, and why.
        what: String,
    },
    /// It was closed.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// An error of `disk` while `doing` something with the file called `name`.
    pub(super) fn io(doing: &'static str, disk: &dyn Disk, name: &str, error: io::Error) -> Self {
        Self::Io { doing, file: path_of(disk, name), error: Arc::new(error) }
    }

    /// The kind, as a metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged",
            Self::NewerFormat { .. } => "newer_format",
            Self::Locked { .. } => "locked",
            Self::StoreForeign { .. } => "store_foreign",
            Self::StoreLost { .. } => "store_lost",
            Self::Io { .. } => "io",
            Self::Failed(_) => "failed",
            Self::DiskFull { .. } => "disk_full",
            Self::TooMany { .. } => "too_many",
            Self::NumbersExhausted { .. } => "numbers_exhausted",
            Self::Closed => "closed",
        }
    }

    /// Whether the system said that there is no room.
    pub(super) fn is_full_disk(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        let Self::Io { error, .. } = self else { return false };
        matches!(error.kind(), StorageFull | QuotaExceeded)
    }
}

/// What is wrong with bytes, before it is known which file they are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They are not as they were written.
    Damaged(String),
    /// A newer release wrote them in this format.
    NewerFormat(u32),
    /// A newer release wrote a record of this kind.
    NewerRecord(u8),
    /// A newer release wrote a state, in a format that this names.
    NewerRow(String),
}

impl Fault {
    pub(super) fn damaged(what: &str) -> Self {
        Self::Damaged(what.to_owned())
    }

    /// The error of finding this at `offset` of the file called `name`.
    pub(super) fn at(self, disk: &dyn Disk, name: &str, offset: u64) -> JournalError {
        let file = path_of(disk, name);
        match self {
            Self::Damaged(what) => {
                let (folder, file) = (disk.path(), name.to_owned());
                JournalError::Damaged(Damage { folder, file, offset, what })
            }
            Self::NewerFormat(format) => {
                let known = super::block::FORMAT;
                let what = format!("it has format {format}, and {known} is the newest known here");
                JournalError::NewerFormat { file, what }
            }
            Self::NewerRow(what) => JournalError::NewerFormat { file, what },
            Self::NewerRecord(kind) => {
                let what = format!("the record at byte {offset} is of kind {kind}, not known here");
                JournalError::NewerFormat { file, what }
            }
        }
    }
}

fn path_of(disk: &dyn Disk, name: &str) -> String {
    format!("{}/{name}", disk.path())
}

/// The directory that holds the folder of a journal, for commands in messages.
fn data_dir(folder: &str) -> &str {
    match folder.strip_suffix(FOLDER).map(|parent| parent.trim_end_matches('/')) {
        Some("") | None => folder,
        Some(parent) => parent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged(folder: &str) -> String {
        let (file, what) = ("manifest".to_owned(), "it is missing".to_owned());
        let damage = Damage { folder: folder.to_owned(), file, offset: 3, what };
        JournalError::Damaged(damage).to_string()
    }

    #[test]
    fn damage_says_where_that_nothing_changed_and_which_commands_help() {
        assert_eq!(
            damaged("/srv/data/journal"),
            "the journal is damaged: /srv/data/journal/manifest at byte 3: it is missing. \
             Nothing was changed. See all of it with `readstates journal inspect --data-dir \
             /srv/data`; put the whole data directory back from a copy, journal and store of the \
             same moment, or keep what still checks with `readstates journal repair --accept-loss \
             --data-dir /srv/data`"
        );
        assert!(damaged("./journal").ends_with("--data-dir .`"));
        assert!(damaged("elsewhere").ends_with("--data-dir elsewhere`"));
    }
}
