//! Makes a journal of what still checks in a damaged one, where an operator accepts the loss.
//!
//! What is kept is written to new segments first. They count from the moment at which the manifest
//! is replaced, and not before: their first one follows no other, which a start refuses. So a
//! repair that is cut off has changed nothing that counts, and can be repeated. The old segments
//! are set aside under another name, never removed.

mod rewriter;

use std::sync::Arc;

use super::{
    Disk, Gaps, JournalError, JournalOptions, Spare, chain::Segment, manifest::MANIFEST,
    recovery::lock, survey::Survey,
};
use rewriter::Rewriter;

/// What is added to the names of files that were set aside.
const ASIDE: &str = ".damaged";

/// What a repair found, and did if it was allowed to.
#[derive(Debug)]
pub struct Repair {
    /// All that is wrong; nothing was done where nothing is.
    pub problems: Vec<JournalError>,
    /// Records that the store may lack and that still check.
    pub kept_records: u64,
    /// Bytes of their groups.
    pub kept_bytes: u64,
    /// Records that the store may lack and that are gone.
    pub missing: Gaps,
    /// Whether more may be gone behind the last record known of.
    pub open_ended: bool,
    /// What was written, where the loss was accepted and there was one.
    pub done: Option<Rewritten>,
}

/// What a repair wrote and set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// The new segments' files.
    pub segments: Vec<String>,
    /// The old files under their new names. They can be removed by hand.
    pub set_aside: Vec<String>,
}

impl Repair {
    /// Looks at the journal on `disk`, and rewrites it where it is damaged and the loss is
    /// accepted.
    ///
    /// # Errors
    /// [`JournalError::Locked`] while a process has it; [`JournalError::NewerFormat`], as what a
    /// newer release wrote is no damage; [`JournalError::DiskFull`], [`JournalError::Io`] and
    /// [`JournalError::NumbersExhausted`]: the damaged journal is then as it was.
    pub fn of(
        disk: &Arc<dyn Disk>,
        options: &JournalOptions,
        accept_loss: bool,
    ) -> Result<Self, JournalError> {
        let _lock = lock(disk.as_ref())?;
        let survey = Survey::of(disk.as_ref())?;
        if let Some(newer) = survey.problems.iter().find(|problem| is_newer(problem)) {
            return Err(newer.clone());
        }
        let needed = !survey.problems.is_empty() && accept_loss;
        let done = needed.then(|| rewrite(disk.as_ref(), options, &survey)).transpose()?;
        Ok(Self {
            problems: survey.problems,
            kept_records: survey.records,
            kept_bytes: survey.bytes,
            missing: survey.gaps,
            open_ended: survey.open_ended,
            done,
        })
    }

    /// Whether a start takes the journal as it is.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

fn is_newer(problem: &JournalError) -> bool {
    matches!(problem, JournalError::NewerFormat { .. })
}

fn rewrite(
    disk: &dyn Disk,
    options: &JournalOptions,
    survey: &Survey,
) -> Result<Rewritten, JournalError> {
    let mut rewriter = Rewriter::new(disk, options.segment_bytes, survey)?;
    let written = survey
        .each_kept(disk, &mut |record| rewriter.append(&record))
        .and_then(|()| rewriter.finish());
    let (manifest, segments) = match written {
        Ok(written) => written,
        Err(error) => {
            rewriter.give_up();
            return Err(error);
        }
    };
    let mut set_aside = Vec::new();
    if survey.chain.manifest.is_none() && has(disk, MANIFEST)? {
        set_aside.push(put_aside(disk, MANIFEST)?);
    }
    manifest.write(disk)?;
    for Segment { id, .. } in &survey.chain.segments {
        set_aside.push(put_aside(disk, &id.file_name())?);
    }
    Spare::discard(disk)?;
    disk.sync().map_err(|error| JournalError::io("syncing", disk, "", error))?;
    Ok(Rewritten { segments, set_aside })
}

fn has(disk: &dyn Disk, name: &str) -> Result<bool, JournalError> {
    let names = disk.names().map_err(|error| JournalError::io("listing", disk, "", error))?;
    Ok(names.iter().any(|found| found == name))
}

fn put_aside(disk: &dyn Disk, name: &str) -> Result<String, JournalError> {
    let aside = format!("{name}{ASIDE}");
    disk.rename(name, &aside)
        .map_err(|error| JournalError::io("setting aside", disk, name, error))?;
    Ok(aside)
}
