//! What is told of a journal, for people who were woken by it: first whether it is whole, last what
//! to do.

use std::path::Path;

use bytesize::ByteSize;

use crate::{
    cli::{show::render_lines, table::Table},
    journal::{Ending, Gaps, Inspection, JournalError, Repair, SegmentSummary},
};

use super::line;

/// No more problems or runs of records are printed; JSON has all.
const LINES_MAX: usize = 40;

pub(super) fn inspection(inspection: &Inspection, data_dir: &Path) -> String {
    let mut parts = vec![verdict(inspection), render_lines(&facts(inspection))];
    if !inspection.segments.is_empty() {
        parts.push(table(&inspection.segments));
    }
    if !inspection.is_whole() {
        parts.push(problems(&inspection.problems));
        parts.push(lost(&inspection.missing));
        parts.push(advice(inspection, data_dir));
    }
    parts.join("\n\n")
}

pub(super) fn repair(repair: &Repair) -> String {
    if repair.is_whole() {
        return "the journal is whole; there is nothing to repair".to_owned();
    }
    let kept = format!(
        "kept: {} records, {}",
        repair.kept_records,
        ByteSize::b(repair.kept_bytes).display().iec()
    );
    let mut parts = vec![problems(&repair.problems), format!("{}\n{kept}", lost(&repair.missing))];
    if repair.open_ended {
        parts.push(
            "The end of the journal is among what is damaged: what was acknowledged last may be \
             lost too, and nobody can tell how much."
                .to_owned(),
        );
    }
    if let Some(done) = &repair.done {
        parts.push(format!(
            "The journal is repaired: {}. Start the server.\nSet aside, to be removed by hand when \
             nobody asks for it any more:\n{}",
            done.segments.join(", "),
            indented(done.set_aside.iter().cloned())
        ));
    }
    parts.join("\n\n")
}

fn verdict(inspection: &Inspection) -> String {
    let Inspection { folder, .. } = inspection;
    match (inspection.is_whole(), inspection.in_use) {
        (true, false) => format!("{folder} is whole."),
        (true, true) => format!("{folder} is whole, and in use by a server."),
        (false, false) => format!("{folder} is DAMAGED: the server will not start with it."),
        (false, true) => format!(
            "{folder} is in use by a server and changes while it is read. What is told below as \
             damage may be unfinished work; stop the server to be certain."
        ),
    }
}

fn facts(inspection: &Inspection) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    match &inspection.manifest {
        Some(manifest) => {
            facts.push(("journal", manifest.journal.to_string()));
            facts.push(("store", store(manifest.store)));
            let commits = manifest.commits.0;
            facts.push(("store has", format!("at least commit {commits}, or it is healed")));
        }
        None if inspection.segments.is_empty() => facts.push(("journal", "empty".to_owned())),
        None => facts.push(("manifest", "none that checks".to_owned())),
    }
    let bytes = ByteSize::b(inspection.replay_bytes).display().iec();
    facts.push(("horizon", format!("record {}: the store has all up to it", inspection.horizon)));
    facts.push(("replay", format!("{} records after it, {bytes}", inspection.replay_records)));
    facts.push(("ceiling", format!("version {}", inspection.ceiling)));
    if let Some(torn) = &inspection.torn {
        let (file, offset, bytes) = (&torn.file, torn.offset, torn.bytes);
        let what = "of a group that was cut off; nobody was told of it, a start drops it";
        facts.push(("torn", format!("{file} at byte {offset}: {bytes} bytes {what}")));
    }
    if !inspection.leftovers.is_empty() && !inspection.in_use {
        let names = inspection.leftovers.join(", ");
        facts.push(("leftovers", format!("{names}; a start removes them")));
    }
    facts
}

fn store(id: u64) -> String {
    if id == 0 {
        "not known; the next start takes its store".to_owned()
    } else {
        format!("{id:016x}")
    }
}

fn table(segments: &[SegmentSummary]) -> String {
    let mut table =
        Table::new(&["SEGMENT", "BYTES", "USED", "RECORDS", "FIRST", "LAST", "SEALED BY"]);
    for segment in segments {
        let ending = match segment.ending {
            Ending::Next => "next",
            Ending::Seal => "seal",
            Ending::Open => "-",
        };
        table.push(vec![
            segment.id.to_string(),
            segment.file_bytes.to_string(),
            segment.used_bytes.to_string(),
            segment.records.to_string(),
            if segment.records == 0 { "-".to_owned() } else { segment.first.to_string() },
            segment.last.to_string(),
            ending.to_owned(),
        ]);
    }
    table.render()
}

fn problems(problems: &[JournalError]) -> String {
    format!("damage:\n{}", indented(problems.iter().map(line)))
}

fn lost(missing: &Gaps) -> String {
    if missing.runs().is_empty() {
        return "lost: no record that the store does not have, as far as record numbers tell"
            .to_owned();
    }
    let run = |(first, last): &(_, _)| {
        if first == last { format!("record {first}") } else { format!("records {first} to {last}") }
    };
    let runs = indented(missing.runs().iter().map(run));
    let count = missing.records();
    let noun = if count == 1 { "record" } else { "records" };
    format!("lost: {count} {noun}, each a change that the store may not have\n{runs}")
}

fn advice(inspection: &Inspection, data_dir: &Path) -> String {
    let is_newer = |problem: &JournalError| matches!(problem, JournalError::NewerFormat { .. });
    if inspection.problems.iter().any(is_newer) {
        return "A newer release wrote it. Start that release or a later one.".to_owned();
    }
    format!(
        "A copy of the data directory, put back as a whole, brings back the moment at which it was \
         made. Without one, this keeps what still checks:\n  readstates journal repair \
         --accept-loss --data-dir {}",
        data_dir.display()
    )
}

fn indented(lines: impl ExactSizeIterator<Item = String>) -> String {
    let more = lines.len().saturating_sub(LINES_MAX);
    let mut text: Vec<_> = lines.take(LINES_MAX).map(|line| format!("  {line}")).collect();
    if more > 0 {
        text.push(format!("  and {more} more; --json has all"));
    }
    text.join("\n")
}
