//! A dump and the states of a server, both in the same order, side by side.

use std::{cmp::Ordering, vec};

use indicatif::ProgressBar;

use super::EXAMPLES_MAX;
use crate::{
    cli::{
        dump_file::DumpReader,
        failure::Failure,
        replay::InputError,
        walk::{Walk, place},
    },
    proto::{Key, StateRecord},
};

/// What came of it.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The line that the dump was drawn at.
    pub version: u64,
    /// States that are the same to the last part.
    pub equal: u64,
    /// States that are not, and should be.
    pub differ: u64,
    /// States of the dump that the server does not have.
    pub missing: u64,
    /// States of the server that the dump should have.
    pub unexpected: u64,
    /// States that the server changed, made or deleted after the dump was drawn.
    pub changed_since: u64,
    /// The first that are not equal, and how.
    pub examples: Vec<(&'static str, Key)>,
}

impl Comparison {
    /// Whether the server has what the dump has, but for what has changed since.
    pub fn is_equal(&self) -> bool {
        self.differ == 0 && self.missing == 0 && self.unexpected == 0
    }

    fn both(&mut self, dumped: &StateRecord, found: &StateRecord) {
        if found == dumped {
            self.equal += 1;
        } else if found.version > self.version.max(dumped.version) {
            self.changed_since += 1;
        } else if found.deleted {
            self.missing(dumped);
        } else {
            self.differ += 1;
            self.example("differs", dumped);
        }
    }

    fn missing(&mut self, dumped: &StateRecord) {
        self.missing += 1;
        self.example("missing", dumped);
    }

    fn only_found(&mut self, found: &StateRecord) {
        if found.deleted {
            // So it was when the dump was drawn, or it came and went since.
        } else if found.version > self.version {
            self.changed_since += 1;
        } else {
            self.unexpected += 1;
            self.example("unexpected", found);
        }
    }

    fn example(&mut self, what: &'static str, state: &StateRecord) {
        let StateRecord { user_id, channel_id, r#type, .. } = *state;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push((what, Key { user_id, channel_id, r#type }));
        }
    }
}

/// Goes through both to their ends. Of a dump that is cut, and may be, to the end of that.
pub async fn compare(
    mut dump: DumpReader,
    walk: Walk,
    allow_cut: bool,
    bar: &ProgressBar,
) -> Result<Comparison, Failure> {
    let mut comparison = Comparison { version: dump.version(), ..Comparison::default() };
    let mut states = States { walk, waiting: Vec::new().into_iter() };
    let mut found = states.next().await?;
    let mut row = 0;
    while let Some(dumped) = dump.state()? {
        row += 1;
        while let Some(before) = found.take_if(|found| place(found) < place(&dumped)) {
            comparison.only_found(&before);
            found = states.next().await?;
        }
        match found.as_ref().map(|found| place(found).cmp(&place(&dumped))) {
            Some(Ordering::Equal) => {
                found.iter().for_each(|found| comparison.both(&dumped, found));
                found = states.next().await?;
            }
            _ => comparison.missing(&dumped),
        }
        bar.set_position(row);
    }
    if dump.is_cut() {
        return if allow_cut { Ok(comparison) } else { Err(breaks_off(&dump, row).into()) };
    }
    while let Some(behind) = found {
        comparison.only_found(&behind);
        found = states.next().await?;
    }
    Ok(comparison)
}

fn breaks_off(dump: &DumpReader, row: u64) -> InputError {
    let what = "the dump breaks off here: go on with `dump --resume`, or compare what there is of \
                it with --allow-cut";
    dump.error_at(row + 1, what)
}

/// The states of a walk, one at a time.
struct States {
    walk: Walk,
    waiting: vec::IntoIter<StateRecord>,
}

impl States {
    async fn next(&mut self) -> Result<Option<StateRecord>, Failure> {
        loop {
            if let Some(state) = self.waiting.next() {
                return Ok(Some(state));
            }
            match self.walk.step().await? {
                Some(states) => self.waiting = states.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(version: u64) -> StateRecord {
        StateRecord { user_id: 1, channel_id: 2, r#type: 1, version, ..StateRecord::default() }
    }

    #[test]
    fn what_is_newer_than_the_dump_has_changed_since_and_anything_else_differs() {
        let drawn_at = |version| Comparison { version, ..Comparison::default() };
        let gone = |version| StateRecord { deleted: true, ..state(version) };
        let other = |version| StateRecord { last_acked_id: 9, ..state(version) };
        // The dump is drawn at 10; a row of 12 changed while it ran.
        for (dumped, found, expected) in [
            (state(5), state(5), [1, 0, 0, 0]),
            (state(5), other(5), [0, 1, 0, 0]),
            (state(5), other(4), [0, 1, 0, 0]),
            (state(5), other(10), [0, 1, 0, 0]),
            (state(5), other(11), [0, 0, 0, 1]),
            (state(12), other(12), [0, 1, 0, 0]),
            (state(12), other(11), [0, 1, 0, 0]),
            (state(12), other(13), [0, 0, 0, 1]),
            (state(5), gone(11), [0, 0, 0, 1]),
            (state(5), gone(10), [0, 0, 1, 0]),
        ] {
            let mut comparison = drawn_at(10);
            comparison.both(&dumped, &found);
            let Comparison { equal, differ, missing, changed_since, .. } = comparison;
            assert_eq!([equal, differ, missing, changed_since], expected, "{found:?}");
        }
        let mut comparison = drawn_at(10);
        [state(10), state(11), gone(3)].iter().for_each(|found| comparison.only_found(found));
        assert_eq!((comparison.unexpected, comparison.changed_since), (1, 1));
        assert!(!comparison.is_equal());
    }
}
