//! Segments and records are counted over a journal's whole life. No server comes near the last
//! number there is; where a file has it, what would come next is refused, as it would take the
//! place of what is there.

use super::{Disk, JournalError, SegmentId};
use crate::model::Sequence;

/// Records that can still be counted at least where a journal is gone on with: more than are ever
/// written.
const RECORDS_LEFT_MIN: u64 = 1 << 48;

/// The segment after `newest`.
pub(super) fn segment_after(newest: SegmentId, disk: &dyn Disk) -> Result<SegmentId, JournalError> {
    newest.next().ok_or_else(|| {
        let what = format!("a segment, as {} is there or is named", newest.file_name());
        JournalError::NumbersExhausted { folder: disk.path(), what }
    })
}

/// Whether records can be counted on from `next`.
pub(super) fn check_records(next: Sequence, disk: &dyn Disk) -> Result<(), JournalError> {
    if u64::MAX - next.as_u64() >= RECORDS_LEFT_MIN {
        return Ok(());
    }
    let what = format!("records, as the next one would be {next}");
    Err(JournalError::NumbersExhausted { folder: disk.path(), what })
}
