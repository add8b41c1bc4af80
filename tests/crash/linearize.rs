//! Whether calls that overlap can be put in an order that explains all their answers: the search of
//! Wing and Gong, with the memory of Lowe.
//!
//! Each call has to take effect at one moment between its begin and its end. A call that got no
//! answer because the server was killed has to do so before the server was dead, or never.

use std::{collections::HashSet, fmt::Debug, hash::Hash};

/// Places that a search looks at before it gives up.
const PLACES_MAX: usize = 2_000_000;

/// A thing that calls change one after the other.
pub trait Thing: Clone + Eq + Hash + Debug {
    type Call: Debug;

    /// The thing after `call`, if that answers as it did; of a call without an answer, the thing
    /// after it was done.
    fn after(&self, call: &Self::Call) -> Option<Self>;
}

/// A call and when it was made, by a clock that all clients share.
#[derive(Clone, Debug)]
pub struct Span<C> {
    pub call: C,
    pub begun: u64,
    /// When its answer was there, or the server was dead.
    pub ended: u64,
    pub answered: bool,
}

/// No order explains all answers.
#[derive(Debug)]
pub struct NotLinearizable {
    /// The longest explanation there is, and what is left to explain.
    pub explained: String,
}

/// Searches an order of `spans`, at most 128, that explains all of them, from `start` on.
pub fn linearize<T: Thing>(start: T, spans: &[Span<T::Call>]) -> Result<(), NotLinearizable> {
    assert!(spans.len() <= 128, "one bit for each call");
    let mut search = Search { spans, seen: HashSet::new(), longest: Vec::new() };
    let all = if spans.len() == 128 { u128::MAX } else { (1 << spans.len()) - 1 };
    let mut path = Vec::new();
    if search.reaches(all, 0, start, &mut path) {
        return Ok(());
    }
    Err(NotLinearizable { explained: search.told() })
}

struct Search<'a, T: Thing> {
    spans: &'a [Span<T::Call>],
    /// Calls that are done, and what they led to.
    seen: HashSet<(u128, T)>,
    longest: Vec<(usize, T)>,
}

impl<T: Thing> Search<'_, T> {
    /// Whether what is left to do when `done` is done can be done from `thing` on.
    fn reaches(&mut self, all: u128, done: u128, thing: T, path: &mut Vec<(usize, T)>) -> bool {
        if done == all {
            return true;
        }
        if !self.seen.insert((done, thing.clone())) {
            return false;
        }
        assert!(self.seen.len() < PLACES_MAX, "too many orders to look at");
        if path.len() > self.longest.len() {
            self.longest.clone_from(path);
        }
        let left = |i: &usize| done & (1 << i) == 0;
        let spans = self.spans;
        let first_end = (0..spans.len()).filter(left).map(|i| spans[i].ended).min().unwrap_or(0);
        for i in (0..spans.len()).filter(left).filter(|i| spans[*i].begun <= first_end) {
            if let Some(after) = thing.after(&spans[i].call) {
                path.push((i, after.clone()));
                if self.reaches(all, done | 1 << i, after, path) {
                    return true;
                }
                path.pop();
            }
            // It may never have been done; that is decided when it would be too late.
            if !spans[i].answered
                && spans[i].ended == first_end
                && self.reaches(all, done | 1 << i, thing.clone(), path)
            {
                return true;
            }
        }
        false
    }

    fn told(&self) -> String {
        let mut told = String::new();
        for (i, thing) in &self.longest {
            told += &format!("{:?}\n    -> {thing:?}\n", self.spans[*i]);
        }
        told += "and then none of:\n";
        let explained: HashSet<usize> = self.longest.iter().map(|(i, _)| *i).collect();
        for (i, span) in self.spans.iter().enumerate() {
            if !explained.contains(&i) {
                told += &format!("{span:?}\n");
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plainest thing: a number that is written and read.
    #[derive(Clone, Copy, Debug)]
    pub enum Call {
        Write(u32),
        Read(u32),
    }

    impl Thing for u32 {
        type Call = Call;

        fn after(&self, call: &Call) -> Option<Self> {
            match *call {
                Call::Write(number) => Some(number),
                Call::Read(number) => (number == *self).then_some(number),
            }
        }
    }

    fn span(call: Call, begun: u64, ended: u64) -> Span<Call> {
        Span { call, begun, ended, answered: true }
    }

    fn unanswered(call: Call, begun: u64, dead: u64) -> Span<Call> {
        Span { call, begun, ended: dead, answered: false }
    }

    fn is_linearizable(spans: &[Span<Call>]) -> bool {
        linearize(0, spans).is_ok()
    }

    use Call::{Read, Write};

    #[test]
    fn calls_in_turn_are_explained_in_turn_only() {
        assert!(is_linearizable(&[span(Write(1), 0, 1), span(Read(1), 2, 3)]));
        assert!(!is_linearizable(&[span(Write(1), 0, 1), span(Read(0), 2, 3)]));
        assert!(!is_linearizable(&[span(Read(1), 0, 1), span(Write(1), 2, 3)]));
    }

    #[test]
    fn calls_that_overlap_may_be_in_any_order() {
        for seen in [0, 1] {
            assert!(is_linearizable(&[span(Write(1), 0, 3), span(Read(seen), 1, 2)]));
        }
        let both = [span(Write(1), 0, 9), span(Write(2), 0, 9)];
        for seen in [1, 2] {
            assert!(is_linearizable(&[&both[..], &[span(Read(seen), 10, 11)]].concat()));
        }
        assert!(!is_linearizable(&[&both[..], &[span(Read(0), 10, 11)]].concat()));
    }

    #[test]
    fn what_was_read_once_is_not_unread() {
        let write = span(Write(1), 0, 9);
        let reads = |first, second| [span(Read(first), 1, 2), span(Read(second), 3, 4)];
        assert!(is_linearizable(&[&[write.clone()][..], &reads(0, 1)].concat()));
        assert!(!is_linearizable(&[&[write][..], &reads(1, 0)].concat()));
    }

    #[test]
    fn a_call_without_an_answer_is_done_before_the_server_is_dead_or_never() {
        let open = unanswered(Write(1), 0, 5);
        for seen in [0, 1] {
            assert!(is_linearizable(&[open.clone(), span(Read(seen), 6, 7)]));
        }
        let late = [span(Read(0), 6, 7), span(Read(1), 8, 9)];
        assert!(!is_linearizable(&[&[open.clone()][..], &late].concat()));
        assert!(is_linearizable(&[open.clone(), span(Read(0), 1, 2), span(Read(1), 3, 4)]));
        assert!(!is_linearizable(&[open, span(Read(2), 6, 7)]));
    }

    #[test]
    fn a_long_history_is_searched_and_what_is_wrong_in_it_is_told() {
        let mut spans: Vec<_> =
            (0..100).map(|i| span(Write(i), u64::from(i), u64::from(i) + 8)).collect();
        spans.push(span(Read(99), 200, 201));
        assert!(is_linearizable(&spans));
        spans.push(span(Read(7), 202, 203));
        let found = linearize(0, &spans).expect_err("7 is long overwritten").explained;
        let unexplained = found.split("and then none of:\n").nth(1);
        assert!(unexplained.is_some_and(|left| left.contains("Read(7)")), "{found}");
        assert_eq!(unexplained.map(|left| left.lines().count()), Some(1), "{found}");
    }
}
