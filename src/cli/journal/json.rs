//! What is told of a journal, for programs: 64-bit numbers are strings, because most readers of
//! JSON would round them.

use serde_json::{Value, json};

use crate::journal::{Ending, Gaps, Inspection, JournalError, Manifest, Repair, SegmentSummary};

use super::line;

pub(super) fn inspection(inspection: &Inspection) -> Value {
    json!({
        "folder": inspection.folder,
        "whole": inspection.is_whole(),
        "in_use": inspection.in_use,
        "manifest": inspection.manifest.as_ref().map(manifest),
        "segments": inspection.segments.iter().map(segment).collect::<Vec<_>>(),
        "leftovers": inspection.leftovers,
        "ceiling": inspection.ceiling.to_string(),
        "horizon": inspection.horizon.to_string(),
        "replay_records": inspection.replay_records.to_string(),
        "replay_bytes": inspection.replay_bytes.to_string(),
        "torn": inspection.torn.as_ref().map(|torn| json!({
            "file": torn.file,
            "offset": torn.offset.to_string(),
            "bytes": torn.bytes.to_string(),
        })),
        "missing": runs(&inspection.missing),
        "problems": problems(&inspection.problems),
    })
}

pub(super) fn repair(repair: &Repair) -> Value {
    json!({
        "whole": repair.is_whole(),
        "repaired": repair.done.is_some(),
        "kept_records": repair.kept_records.to_string(),
        "kept_bytes": repair.kept_bytes.to_string(),
        "missing": runs(&repair.missing),
        "open_ended": repair.open_ended,
        "problems": problems(&repair.problems),
        "segments": repair.done.as_ref().map(|done| &done.segments),
        "set_aside": repair.done.as_ref().map(|done| &done.set_aside),
    })
}

fn manifest(manifest: &Manifest) -> Value {
    json!({
        "journal": manifest.journal.to_string(),
        "store": format!("{:016x}", manifest.store),
        "horizon": manifest.horizon.to_string(),
        "commits": manifest.commits.0.to_string(),
        "oldest": manifest.oldest.to_string(),
        "newest": manifest.newest.to_string(),
        "ceiling": manifest.ceiling.to_string(),
    })
}

fn segment(segment: &SegmentSummary) -> Value {
    json!({
        "segment": segment.id.to_string(),
        "file_bytes": segment.file_bytes.to_string(),
        "used_bytes": segment.used_bytes.to_string(),
        "records": segment.records.to_string(),
        "first": segment.first.to_string(),
        "last": segment.last.to_string(),
        "sealed": segment.ending != Ending::Open,
    })
}

fn runs(gaps: &Gaps) -> Vec<Value> {
    let run = |(first, last): &_| json!([ToString::to_string(first), ToString::to_string(last)]);
    gaps.runs().iter().map(run).collect()
}

fn problems(problems: &[JournalError]) -> Vec<Value> {
    let one = |problem: &JournalError| match problem {
        JournalError::Damaged(damage) => json!({
            "file": damage.file,
            "offset": damage.offset.to_string(),
            "what": damage.what,
        }),
        other => json!({ "what": line(other) }),
    };
    problems.iter().map(one).collect()
}
