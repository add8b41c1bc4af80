//! Two states of one key, brought together: what a deposed owner had acknowledged and not brought
//! to the store, and what the next one made of the key without knowing of it.

use super::{InvalidParts, LEDGER_MAX, Parts, ReadState};

impl ReadState {
    /// What `self` would be, had it begun where `older` ended. Both began with the same state and
    /// went on without knowing of each other; `older` came first. The version is that of `self`:
    /// where the merged state is another, the caller stamps it (I7).
    ///
    /// Acks and mentions come out as if they had been done in one place, one after the other, and
    /// merging once more changes nothing. What has no position cannot be told from what both began
    /// with; then nothing that was acknowledged is taken away:
    ///
    /// - of unpositioned and of folded mentions the larger count stays, not the sum;
    /// - flags that the newer one does not have, and the dot that no ack has passed since, are the
    ///   older one's;
    /// - a newer deletion stays, and so does a newer state where the older one was deleted; what
    ///   was deleted and made anew cannot be told from what never was;
    /// - a newer rewind with its dot stays, and so do mentions above it that it did not know,
    ///   though the newer one may have reset or retracted them in vain; a newer `Restore` without
    ///   the dot does not stay.
    ///
    /// # Errors
    /// Never, for what operations can make of a state.
    pub fn merged_over(&self, older: &Self) -> Result<Self, InvalidParts> {
        if !self.exists() || !older.exists() {
            return Ok(self.clone());
        }
        let (newer, older) = (self.to_parts(), older.to_parts());
        let mut merged = newer.clone();
        if older.flags != 0 && newer.flags == 0 {
            merged.flags = older.flags;
        }
        merged.last_viewed_day = newer.last_viewed_day.max(older.last_viewed_day);
        merged.last_pin_ack_ms = newer.last_pin_ack_ms.max(older.last_pin_ack_ms);
        merge_watermark(&mut merged, &older);
        if merged.last_acked_id != newer.last_acked_id {
            merged.partial_ack = None;
        }
        if newer.last_acked_id <= older.last_acked_id && !newer.marked_unread {
            merged.unpositioned = newer.unpositioned.max(older.unpositioned);
        }
        merge_folds(&mut merged, &newer, &older);
        merge_ids(&mut merged, &newer, &older);
        Self::from_parts(merged)
    }
}

/// `merged` is still the newer one.
fn merge_watermark(merged: &mut Parts, older: &Parts) {
    if merged.marked_unread {
        return;
    }
    // One that knew of the rewind has as high a fold top; for one that did not, an ack below it
    // was none that could pass the dot.
    let bound = if merged.fold_top >= older.fold_top { 0 } else { older.fold_top };
    let is_passed = merged.last_acked_id > older.last_acked_id.max(bound);
    if older.marked_unread && !is_passed {
        (merged.last_acked_id, merged.marked_unread) = (older.last_acked_id, true);
    } else {
        merged.last_acked_id = merged.last_acked_id.max(older.last_acked_id);
    }
}

/// Whether folded mentions of `parts` still wait behind this watermark.
fn keeps_fold(parts: &Parts, watermark: u64) -> bool {
    watermark <= parts.last_acked_id || watermark < parts.fold_top
}

fn merge_folds(merged: &mut Parts, newer: &Parts, older: &Parts) {
    let watermark = merged.last_acked_id;
    let kept: Vec<&Parts> =
        [newer, older].into_iter().filter(|parts| keeps_fold(parts, watermark)).collect();
    let top = kept.iter().map(|parts| parts.fold_top).max().unwrap_or_default();
    merged.fold_top = if top > watermark { top } else { 0 };
    let top = merged.fold_top;
    // An id at or below the fold top is counted by no ledger: those of the other one fold as well.
    let behind = |parts: &Parts| {
        let ids = parts.counted.iter().filter(|id| (watermark + 1..=top).contains(id)).count();
        let folded = if keeps_fold(parts, watermark) { parts.folded } else { 0 };
        (folded.saturating_add(ids as u32), ids > 0)
    };
    let (of_newer, of_older) = (behind(newer), behind(older));
    merged.folded = of_newer.0.max(of_older.0);
    let is_short =
        |parts: &&Parts| parts.inexact || (parts.folded > 0 && watermark > parts.last_acked_id);
    merged.inexact = kept.iter().any(is_short) || of_newer.1 || of_older.1;
}

fn merge_ids(merged: &mut Parts, newer: &Parts, older: &Parts) {
    let bound = merged.last_acked_id.max(merged.fold_top);
    let union = |newer: &[u64], older: &[u64]| {
        let ids = newer.iter().chain(older).copied().filter(|id| *id > bound);
        let mut ids: Vec<u64> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    merged.zeroed = union(&newer.zeroed, &older.zeroed);
    merged.counted = union(&newer.counted, &older.counted);
    merged.counted.retain(|id| merged.zeroed.binary_search(id).is_err());
    while merged.counted.len() + merged.zeroed.len() > LEDGER_MAX {
        fold_lowest(merged);
    }
}

fn fold_lowest(merged: &mut Parts) {
    let counted = merged.counted.first().copied().unwrap_or(u64::MAX);
    let zeroed = merged.zeroed.first().copied().unwrap_or(u64::MAX);
    merged.fold_top = counted.min(zeroed);
    if counted < zeroed {
        merged.counted.remove(0);
        merged.folded = merged.folded.saturating_add(1);
        merged.inexact = true;
    } else {
        merged.zeroed.remove(0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{MessageId, Operation, Version};

    /// Who mentions an id first: so what one of the two does not know can be told.
    const BOTH: u64 = 0;
    const OLDER: u64 = 1;
    const NEWER: u64 = 2;

    fn message(id: u64) -> MessageId {
        MessageId::new(id).expect("not 0")
    }

    fn ack(id: u64) -> Operation {
        Operation::Ack { message: message(id), flags: None, last_viewed_day: None }
    }

    fn mention(id: u64) -> Operation {
        Operation::Mention { message: message(id), initial_acked_id: None }
    }

    fn done(mut state: ReadState, operations: &[Operation]) -> ReadState {
        for operation in operations {
            if state.apply(operation).changed {
                state.set_version(state.version().next());
            }
        }
        state
    }

    fn merged(newer: &ReadState, older: &ReadState) -> ReadState {
        newer.merged_over(older).expect("it is a state")
    }

    /// Without the versions, and without what only `Restore` looks at.
    fn shown(state: &ReadState) -> Parts {
        Parts { version: Version::ZERO, partial_ack: None, ..state.to_parts() }
    }

    /// Acks and mentions of ids that are `whose`, and retractions of `retracted` ones.
    fn positioned(whose: u64, retracted: &'static [u64]) -> impl Strategy<Value = Vec<Operation>> {
        let id = |whose: u64| (1..40_u64).prop_map(move |id| id * 3 + whose);
        let retracted = (0..retracted.len(), 1..40_u64).prop_map(move |(of, id)| {
            Operation::Retract { message: message(id * 3 + retracted[of]) }
        });
        let one = prop_oneof![
            4 => id(whose).prop_map(mention),
            1 => (3..120_u64).prop_map(ack),
            2 => retracted,
        ];
        prop::collection::vec(one, 0..12)
    }

    fn rewind() -> impl Strategy<Value = Operation> {
        let id = 1..300_u64;
        prop_oneof![
            (id.clone(), prop::option::of(0..200_u32)).prop_map(
                |(last_acked_id, mention_count)| {
                    Operation::MarkUnread { last_acked_id, mention_count }
                }
            ),
            (id, 0..9_u32, any::<bool>()).prop_map(|(last_acked_id, mention_count, dot)| {
                Operation::Restore { last_acked_id, mention_count, marked_unread: dot }
            }),
        ]
    }

    fn increment(count: u32) -> Operation {
        Operation::Increment { count, initial_acked_id: None }
    }

    fn anything() -> impl Strategy<Value = Vec<Operation>> {
        let id = 1..300_u64;
        let one = prop_oneof![
            2 => id.clone().prop_map(ack),
            8 => id.clone().prop_map(mention),
            2 => (id.clone(), 1..200_u64).prop_map(|(from, count)| mention(from + count)),
            1 => (1..9_u32).prop_map(increment),
            1 => id.prop_map(|id| Operation::Retract { message: message(id) }),
            2 => rewind(),
            1 => Just(Operation::Reset),
            1 => Just(Operation::Delete),
        ];
        prop::collection::vec(one, 0..250)
    }

    proptest! {
        #[test]
        fn what_has_a_position_comes_out_as_if_done_in_one_place(
            common in positioned(BOTH, &[BOTH]),
            before in positioned(OLDER, &[BOTH, OLDER]),
            after in positioned(NEWER, &[BOTH, NEWER]),
        ) {
            let common = done(ReadState::default(), &common);
            let (older, newer) = (done(common.clone(), &before), done(common, &after));
            prop_assume!(older.exists() && newer.exists());
            let expected = done(older.clone(), &after);
            prop_assert_eq!(shown(&merged(&newer, &older)), shown(&expected));
        }

        #[test]
        fn merging_what_it_began_with_changes_nothing(
            before in positioned(BOTH, &[BOTH]),
            after in positioned(NEWER, &[BOTH, NEWER]),
            reset in any::<bool>(),
        ) {
            let older = done(ReadState::default(), &before);
            let mut newer = done(older.clone(), &after);
            if reset {
                newer = done(newer, &[Operation::Reset]);
            }
            prop_assume!(older.exists() && newer.exists());
            prop_assert_eq!(merged(&newer, &older), newer);
        }

        #[test]
        fn whatever_was_done_a_state_comes_out_once_and_for_all(
            common in anything(), before in anything(), after in anything(),
        ) {
            let common = done(ReadState::default(), &common);
            let (older, newer) = (done(common.clone(), &before), done(common, &after));
            let first = merged(&newer, &older);
            prop_assert_eq!(first.version(), newer.version());
            prop_assert_eq!(merged(&first, &older), first);
        }
    }

    #[test]
    fn a_newer_deletion_and_a_newer_rewind_stay() {
        let common = done(ReadState::default(), &[ack(10), mention(20)]);
        let older = done(common.clone(), &[ack(25), mention(30)]);
        let deleted = done(common.clone(), &[Operation::Delete]);
        assert_eq!(merged(&deleted, &older), deleted);
        let rewind = Operation::MarkUnread { last_acked_id: 5, mention_count: None };
        let rewound = merged(&done(common, &[rewind]), &older);
        assert_eq!((rewound.last_acked_id(), rewound.marked_unread()), (5, true));
        assert_eq!(rewound.mention_count(), 2, "20, and 30 that it did not know");
    }

    #[test]
    fn an_older_dot_stays_unless_an_ack_has_passed_it_since() {
        let common = done(ReadState::default(), &[ack(10)]);
        let rewind = Operation::MarkUnread { last_acked_id: 5, mention_count: None };
        let older = done(common.clone(), &[rewind]);
        let mentioned = merged(&done(common.clone(), &[mention(20)]), &older);
        assert_eq!((mentioned.last_acked_id(), mentioned.marked_unread()), (5, true));
        assert_eq!(mentioned.mention_count(), 1);
        let knowing = done(older.clone(), &[ack(7)]);
        assert_eq!(merged(&knowing, &older), knowing, "it knew of the rewind");
        let acked = merged(&done(common, &[ack(11)]), &older);
        assert_eq!((acked.last_acked_id(), acked.marked_unread()), (11, false));
    }

    #[test]
    fn mentions_without_a_position_are_neither_lost_nor_doubled() {
        let common = done(ReadState::default(), &[increment(3)]);
        let older = done(common.clone(), &[increment(4)]);
        let newer = done(common, &[mention(9)]);
        assert_eq!(merged(&newer, &older).mention_count(), 8);
        let read = done(newer, &[ack(9)]);
        assert_eq!(merged(&read, &older).mention_count(), 0);
    }
}
