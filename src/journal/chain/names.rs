//! The files of a journal's folder, told apart by their names.

use crate::journal::{Disk, JournalError, Manifest, SegmentId, manifest, segment};

/// What is in the folder. The lock, and what is not of a journal, is left out.
pub(super) struct Names {
    pub(super) has_manifest: bool,
    /// In order.
    segments: Vec<SegmentId>,
    /// Files that were being prepared.
    pub(super) unfinished: Vec<String>,
}

impl Names {
    pub(super) fn read(disk: &dyn Disk) -> Result<Self, JournalError> {
        let names = disk.names().map_err(|error| JournalError::io("listing", disk, "", error))?;
        let mut segments: Vec<_> =
            names.iter().filter_map(|name| SegmentId::from_file_name(name)).collect();
        segments.sort_unstable();
        let is_unfinished =
            |name: &String| [segment::SPARE, manifest::MANIFEST_NEW].contains(&&**name);
        Ok(Self {
            has_manifest: names.iter().any(|name| name == manifest::MANIFEST),
            segments,
            unfinished: names.into_iter().filter(is_unfinished).collect(),
        })
    }

    pub(super) fn has_segments(&self) -> bool {
        !self.segments.is_empty()
    }

    /// The segments that do not count any more, and those that do.
    pub(super) fn split(&self, manifest: Option<&Manifest>) -> (&[SegmentId], &[SegmentId]) {
        let oldest = manifest.map_or(SegmentId::NONE, |manifest| manifest.oldest);
        self.segments.split_at(self.segments.partition_point(|id| *id < oldest))
    }
}
