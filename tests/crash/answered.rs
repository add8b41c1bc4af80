//! One call of a history with what its client was told, and whether a state explains that.

use readstates::proto::{MentionOutcome, ReadState};

use crate::{
    acts::Act,
    checker::{Answer, Candidate},
    linearize::Thing,
};

/// What a client was told.
#[derive(Clone, Copy, Debug)]
pub enum Told {
    Answer(Answer),
    /// Less than a state.
    Outcome {
        changed: bool,
        outcome: MentionOutcome,
    },
    Mismatched {
        current: u64,
    },
    Shown(Option<ReadState>),
    Nothing,
}

/// A call and its answer; without an act it is a read.
#[derive(Clone, Debug)]
pub struct Call {
    pub act: Option<Act>,
    pub told: Told,
}

impl Thing for Candidate {
    type Call = Call;

    fn after(&self, call: &Call) -> Option<Self> {
        let Some(act) = &call.act else {
            return match &call.told {
                Told::Shown(state) => self.shown_as(state.as_ref()),
                _ => Some(self.clone()),
            };
        };
        if let Told::Mismatched { current } = call.told {
            return self.refused(act, current);
        }
        if !self.admits(act) {
            return None;
        }
        let newest = self.newest();
        let (after, changed, outcome) = self.after(act, newest);
        match call.told {
            Told::Answer(answer) => {
                let told = answer.state.map_or(u64::MAX, |state| state.version);
                let rises = !answer.changed || told > newest;
                let fits = rises && (answer.changed, answer.outcome) == (changed, outcome);
                if fits { after.shown_as(answer.state.as_ref()) } else { None }
            }
            Told::Outcome { changed: told, outcome: became } => {
                ((told, became) == (changed, outcome)).then_some(after)
            }
            _ => Some(after),
        }
    }
}

impl Told {
    /// The newest version that it tells.
    pub fn version(&self) -> Option<u64> {
        match self {
            Self::Answer(answer) => answer.state.map(|state| state.version),
            Self::Shown(state) => state.map(|state| state.version),
            Self::Mismatched { current } => Some(*current),
            Self::Outcome { .. } | Self::Nothing => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use readstates::proto::{AckRequest, IncrementRequest, operation::Operation};

    use super::*;
    use crate::linearize::{Span, linearize};

    fn state(version: u64, last_acked_id: u64, mention_count: u32) -> ReadState {
        let mentions_exact = true;
        ReadState { version, last_acked_id, mention_count, mentions_exact, ..Default::default() }
    }

    fn ack(message_id: u64, guard: Option<u64>) -> Act {
        let expected_version = guard;
        let request = AckRequest { message_id, expected_version, ..Default::default() };
        Act::Operation(Operation::Ack(request))
    }

    fn mention(message_id: u64) -> Act {
        Act::Operation(Operation::Increment(IncrementRequest { message_id, ..Default::default() }))
    }

    fn acked(id: u64, guard: Option<u64>, version: u64) -> Call {
        let (state, outcome) = (Some(state(version, id, 0)), MentionOutcome::Unspecified);
        let told = Told::Answer(Answer { state, changed: true, outcome });
        Call { act: Some(ack(id, guard)), told }
    }

    fn mentioned(message: u64, version: u64, count: u32, outcome: MentionOutcome) -> Call {
        let changed = outcome == MentionOutcome::Incremented;
        let told = Told::Answer(Answer { state: Some(state(version, 0, count)), changed, outcome });
        Call { act: Some(mention(message)), told }
    }

    fn read(state: Option<ReadState>) -> Call {
        Call { act: None, told: Told::Shown(state) }
    }

    /// Calls one after the other; those without an answer are cut by a kill.
    fn in_turn(calls: &[Call]) -> bool {
        let span = |(i, call): (u64, &Call)| Span {
            call: call.clone(),
            begun: 2 * i,
            ended: 2 * i + 1,
            answered: !matches!(call.told, Told::Nothing),
        };
        let spans: Vec<_> = (0..).zip(calls).map(span).collect();
        linearize(Candidate::default(), &spans).is_ok()
    }

    use MentionOutcome::{Duplicate, Incremented};

    #[test]
    fn good_histories_are_explained() {
        let (one, two) = (mentioned(7, 5, 1, Incremented), mentioned(8, 6, 2, Incremented));
        assert!(in_turn(&[read(None), one.clone(), two, mentioned(7, 6, 2, Duplicate)]));
        let refused = Call { act: Some(ack(9, Some(4))), told: Told::Mismatched { current: 5 } };
        assert!(in_turn(&[one, refused, acked(9, Some(5), 6)]));
        let open = Call { act: Some(mention(7)), told: Told::Nothing };
        assert!(in_turn(&[open.clone(), mentioned(7, 5, 1, Duplicate)]));
        assert!(in_turn(&[open, mentioned(7, 5, 1, Incremented)]));
    }

    #[test]
    fn bad_histories_are_not() {
        let one = mentioned(7, 5, 1, Incremented);
        for (wrong, calls) in [
            ("what was acknowledged is gone", vec![one.clone(), read(None)]),
            ("a mention is counted twice", vec![one.clone(), mentioned(7, 6, 2, Incremented)]),
            ("a mention is lost", vec![one.clone(), mentioned(8, 6, 1, Incremented)]),
            ("a read is stale", vec![one.clone(), acked(9, None, 6), read(Some(state(5, 0, 1)))]),
            ("a version goes back", vec![one.clone(), acked(9, None, 4)]),
            ("a version stays", vec![one.clone(), acked(9, None, 5)]),
            ("a read has another version", vec![one.clone(), read(Some(state(6, 0, 1)))]),
            ("a wrong guard lets through", vec![one.clone(), acked(9, Some(4), 6)]),
            (
                "a right guard refuses",
                vec![
                    one.clone(),
                    Call { act: Some(ack(9, Some(5))), told: Told::Mismatched { current: 5 } },
                ],
            ),
            (
                "what was cut off is seen, and then is not",
                vec![
                    Call { act: Some(mention(7)), told: Told::Nothing },
                    read(Some(state(5, 0, 1))),
                    read(None),
                ],
            ),
        ] {
            assert!(!in_turn(&calls), "{wrong}");
        }
    }
}
