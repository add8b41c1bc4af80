//! The small file beside the segments that says which of them count, and what the store had
//! persisted (I11). It is replaced as a whole.

use crate::{
    model::{Sequence, Version},
    sabotage::{self, Fault as Sabotage},
    store::CommitNumber,
};

use super::{Disk, JournalError, JournalId, SegmentId, block, error::Fault};

/// Its name.
pub(super) const MANIFEST: &str = "manifest";
/// Its name until it is whole.
pub(super) const MANIFEST_NEW: &str = "manifest.new";

const MAGIC: &[u8; 8] = b"rs-manif";

const NUMBERS: usize = 7;
const MANIFEST_BYTES: usize = 16 + NUMBERS * 8;

/// What a journal says of itself as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Which journal.
    pub journal: JournalId,
    /// The store that it belongs to; 0 where that is not known, as after a repair.
    pub store: u64,
    /// Every record up to this one is in the store, or copied to a later record.
    pub horizon: Sequence,
    /// What the store had persisted at that horizon.
    pub commits: CommitNumber,
    /// The oldest segment that counts.
    pub oldest: SegmentId,
    /// The newest one when this was written: there may be newer ones.
    pub newest: SegmentId,
    /// The newest ceiling of versions when this was written.
    pub ceiling: Version,
}

impl Manifest {
    pub(super) fn encode(&self) -> [u8; MANIFEST_BYTES] {
        let numbers = [
            self.journal.0,
            self.store,
            self.horizon.as_u64(),
            self.commits.0,
            self.oldest.0,
            self.newest.0,
            self.ceiling.as_micros(),
        ];
        block::encode(MAGIC, &numbers)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let block: &[u8; MANIFEST_BYTES] = bytes.try_into().map_err(|_| {
            let length = bytes.len();
            Fault::Damaged(format!("it is {length} bytes long and should be {MANIFEST_BYTES}"))
        })?;
        let [journal, store, horizon, commits, oldest, newest, ceiling] =
            block::decode::<_, NUMBERS>(MAGIC, block)?;
        if SegmentId(oldest) == SegmentId::NONE {
            return Err(Fault::damaged("it names no segment as the oldest one that counts"));
        }
        Ok(Self {
            journal: JournalId(journal),
            store,
            horizon: Sequence::new(horizon),
            commits: CommitNumber(commits),
            oldest: SegmentId(oldest),
            newest: SegmentId(newest),
            ceiling: Version::from_micros(ceiling),
        })
    }

    /// Replaces the manifest on the disk. It survives a power cut.
    ///
    /// # Errors
    /// [`JournalError::Io`]: the old one or this one is there then.
    pub fn write(&self, disk: &dyn Disk) -> Result<(), JournalError> {
        let replace = || {
            let file = disk.create(MANIFEST_NEW)?;
            file.write_at(0, &self.encode())?;
            file.sync_all()?;
            disk.rename(MANIFEST_NEW, MANIFEST)?;
            if sabotage::is(Sabotage::NoFolderSync) {
                return Ok(());
            }
            disk.sync()
        };
        replace().map_err(|error| JournalError::io("replacing", disk, MANIFEST, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{DiskCall, SimulatedDisk};

    fn manifest(horizon: u64) -> Manifest {
        Manifest {
            journal: JournalId(1),
            store: 2,
            horizon: Sequence::new(horizon),
            commits: CommitNumber(4),
            oldest: SegmentId(5),
            newest: SegmentId(6),
            ceiling: Version::from_micros(7),
        }
    }

    #[test]
    fn it_comes_back_and_another_length_is_damage() {
        let bytes = manifest(3).encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest(3)));
        for wrong in [&[][..], &bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat()] {
            assert!(matches!(Manifest::decode(wrong), Err(Fault::Damaged(_))));
        }
    }

    /// Wherever it fails, the old one or the new one is there, whole.
    #[test]
    fn it_is_replaced_as_a_whole_or_not_at_all() {
        for changes in 0..6 {
            let disk = SimulatedDisk::default();
            manifest(1).write(&disk).expect("no fault");
            disk.faults().stop_after(changes);
            let written = manifest(2).write(&disk).is_ok();
            let kept = Manifest::decode(&disk.image()[MANIFEST]).expect("it is whole");
            assert_eq!(kept, manifest(if written { 2 } else { 1 }), "{changes} changes");
            assert_eq!(written, changes == 5, "{changes} changes");
        }
        let disk = SimulatedDisk::default();
        manifest(1).write(&disk).expect("no fault");
        assert_eq!(disk.faults().calls(DiskCall::SyncAll), 1);
    }
}
