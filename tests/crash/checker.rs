//! What was acknowledged of each state, and so what a server may show of it. Speaks of answers
//! only: whether they came over the wire, and from which process, is not known here.
//!
//! A state has one *candidate* as long as every call about it was answered. A call without an
//! answer leaves two: the state before it and the state after it. The next answer tells which, by
//! its version if by nothing else: whatever changed a state raised it.

use std::collections::BTreeMap;

use readstates::proto::{MentionOutcome, OperationResult, ReadState, ReadStateType};

use crate::{
    acts::Act,
    naive::{Naive, Shown},
};

/// What an answer shows that no history of acknowledged calls leads to.
pub type Finding = String;

/// One state: its user and its channel, from which the type follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub user: u64,
    pub channel: u64,
}

impl Place {
    /// One channel in five is none: its id is that of a guild's home.
    pub fn kind(self) -> i32 {
        if self.is_channel() {
            ReadStateType::Channel.into()
        } else {
            ReadStateType::GuildHome.into()
        }
    }

    /// Whether fan-outs and the like can be about it.
    pub fn is_channel(self) -> bool {
        !self.channel.is_multiple_of(5)
    }
}

/// What is known of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Version {
    Is(u64),
    /// Of a change whose answer did not tell its version, or never came.
    Above(u64),
}

impl Version {
    fn fits(self, seen: u64) -> bool {
        match self {
            Self::Is(version) => seen == version,
            Self::Above(bound) => seen > bound,
        }
    }
}

/// What a state may be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Candidate {
    pub model: Naive,
    version: Version,
}

impl Default for Candidate {
    fn default() -> Self {
        Self { model: Naive::default(), version: Version::Is(0) }
    }
}

impl Candidate {
    /// The version where it is known: what a guard may ask for.
    pub fn version(&self) -> Option<u64> {
        match self.version {
            Version::Is(version) => Some(version),
            Version::Above(_) => None,
        }
    }

    /// Whether a guard for `expected` may let a call through.
    fn may_match(&self, expected: u64) -> bool {
        self.version.fits(expected) || (expected == 0 && !self.model.exists)
    }

    /// Whether it may turn one away.
    fn may_mismatch(&self, expected: u64) -> bool {
        self.version != Version::Is(expected) && (expected != 0 || self.model.exists)
    }

    /// Whether a guard of `act` may let it through.
    pub fn admits(&self, act: &Act) -> bool {
        act.guard().is_none_or(|expected| self.may_match(expected))
    }

    /// This state, if a guard of `act` may turn it away at `current`.
    pub fn refused(&self, act: &Act, current: u64) -> Option<Self> {
        let refuses = act.guard().is_some_and(|expected| self.may_mismatch(expected));
        if !self.model.exists {
            // The version of a tombstone may be told, or that there is nothing.
            return refuses.then(|| self.clone());
        }
        let version = Version::Is(current);
        let told = Self { version, ..self.clone() };
        (refuses && self.version.fits(current) && act.guard() != Some(current)).then_some(told)
    }

    /// The newest version that is known of it.
    pub fn newest(&self) -> u64 {
        match self.version {
            Version::Is(version) | Version::Above(version) => version,
        }
    }

    /// The state after `act`, whose answer, if any, told no version.
    pub fn after(&self, act: &Act, newest: u64) -> (Self, bool, MentionOutcome) {
        let (model, changed, outcome) = act.on(&self.model);
        let version = if changed { Version::Above(newest) } else { self.version };
        (Self { model, version }, changed, outcome)
    }

    /// This state, if `state` may be what an answer shows of it.
    pub fn shown_as(&self, state: Option<&ReadState>) -> Option<Self> {
        let Some(state) = state.filter(|state| !state.deleted) else {
            // A tombstone may be gone, and then shows nothing.
            return (!self.model.exists).then(|| self.clone());
        };
        let fits = self.model.exists
            && self.model.shown() == Shown::from(state)
            && self.version.fits(state.version);
        fits.then(|| Self { model: self.model.clone(), version: Version::Is(state.version) })
    }
}

/// The states of one user.
#[derive(Debug, Default)]
struct User {
    /// The newest version that an answer told.
    newest: u64,
    states: BTreeMap<u64, Vec<Candidate>>,
    /// Where nobody knows whether the user was deleted: the channels that were there before.
    doomed: Option<Vec<u64>>,
}

/// What one client was answered about the states that only it changes.
#[derive(Debug, Default)]
pub struct Book {
    users: BTreeMap<u64, User>,
}

/// What a call did to many states: incremented, duplicate and already read, or just how many it
/// changed.
pub type Counts = [u32; 3];

/// What the answer of a changing call shows.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub state: Option<ReadState>,
    pub changed: bool,
    pub outcome: MentionOutcome,
}

impl Book {
    /// A book of states none of which exists.
    pub fn new(users: impl Iterator<Item = u64>, channels: u64) -> Self {
        let states: BTreeMap<_, _> =
            (1..=channels).map(|channel| (channel, vec![Candidate::default()])).collect();
        let user = |user| (user, User { states: states.clone(), ..User::default() });
        Self { users: users.map(user).collect() }
    }

    pub fn users(&self) -> impl Iterator<Item = u64> {
        self.users.keys().copied()
    }

    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.users.iter().flat_map(|(user, states)| {
            states.states.keys().map(|channel| Place { user: *user, channel: *channel })
        })
    }

    /// Everything that the state may be; never nothing.
    pub fn candidates(&self, place: Place) -> &[Candidate] {
        &self.users[&place.user].states[&place.channel]
    }

    /// The state, where there is no doubt about it.
    pub fn known(&self, place: Place) -> Option<&Naive> {
        match self.candidates(place) {
            [only] => Some(&only.model),
            _ => None,
        }
    }

    /// A changing call about one state was answered. What the outcome of an undo is depends on
    /// more than a model of one state, so there only the state itself is compared.
    pub fn answered(&mut self, place: Place, act: &Act, answer: &Answer) -> Result<(), Finding> {
        let newest = self.newest(place);
        let told = answer.state.map_or(0, |state| state.version);
        if answer.changed && answer.state.is_some() && told <= newest {
            return Err(format!("{place:?} {act:?}: version {told} after {newest} was given out"));
        }
        self.settle(place, &format_args!("{act:?} answered {answer:?}"), |before| {
            if !before.admits(act) {
                return None;
            }
            let (after, changed, outcome) = before.after(act, newest);
            let as_told = matches!(act, Act::Undo(_))
                || (changed, outcome) == (answer.changed, answer.outcome);
            if as_told { after.shown_as(answer.state.as_ref()) } else { None }
        })?;
        self.raise(place, told);
        Ok(())
    }

    /// An operation among many was answered, with less than a state.
    pub fn answered_in_short(
        &mut self,
        place: Place,
        act: &Act,
        result: &OperationResult,
    ) -> Result<(), Finding> {
        let newest = self.newest(place);
        if result.changed && result.version <= newest {
            let version = result.version;
            return Err(format!("{place:?} {act:?}: version {version} after {newest}"));
        }
        self.settle(place, &format_args!("{act:?} answered {result:?}"), |before| {
            if !before.admits(act) {
                return None;
            }
            let (after, changed, outcome) = before.after(act, newest);
            let told =
                (result.changed, result.outcome(), result.last_acked_id, result.mention_count);
            let fits = told == (changed, outcome, after.model.watermark, after.model.count())
                && (!after.model.exists || after.version.fits(result.version));
            let version = Version::Is(result.version);
            fits.then_some(if after.model.exists { Candidate { version, ..after } } else { after })
        })?;
        self.raise(place, result.version);
        Ok(())
    }

    /// A guard turned a call away; `current` is the version that the refusal told.
    pub fn mismatched(&mut self, place: Place, act: &Act, current: u64) -> Result<(), Finding> {
        let told = format_args!("{act:?} was refused by its guard at {current}");
        self.settle(place, &told, |before| before.refused(act, current))
    }

    /// A call that does `act` to many states was answered with counts only.
    pub fn counted(&mut self, places: &[Place], act: &Act, told: Counts) -> Result<(), Finding> {
        let (mut least, mut most) = (Counts::default(), Counts::default());
        for place in places {
            let newest = self.newest(*place);
            let after = self.candidates(*place).iter().map(|before| before.after(act, newest));
            let each: Vec<Counts> =
                after.map(|(_, changed, outcome)| counts_of(changed, outcome)).collect();
            for i in 0..least.len() {
                least[i] += each.iter().map(|counts| counts[i]).min().unwrap_or(0);
                most[i] += each.iter().map(|counts| counts[i]).max().unwrap_or(0);
            }
            self.replace(*place, |before| vec![before.after(act, newest).0]);
        }
        if (0..told.len()).all(|i| (least[i]..=most[i]).contains(&told[i])) {
            return Ok(());
        }
        Err(format!("{places:?} {act:?} counted {told:?}, not {least:?} to {most:?}"))
    }

    /// A call that does these acts to a state got no answer: each may have been done.
    pub fn unanswered(&mut self, place: Place, act: &Act) {
        let newest = self.newest(place);
        self.replace(place, |before| {
            let (after, changed, _) = before.after(act, newest);
            if changed { vec![before.clone(), after] } else { vec![before.clone()] }
        });
    }

    /// A call that deletes a user got no answer: all of the user's states are gone, or none.
    pub fn unanswered_deletion(&mut self, user: u64, act: &Act) {
        let places: Vec<Place> = self.places().filter(|place| place.user == user).collect();
        let there = |place: &&Place| self.candidates(**place).iter().all(|one| one.model.exists);
        let doomed = places.iter().filter(there).map(|place| place.channel).collect();
        for place in places {
            self.unanswered(place, act);
        }
        if let Some(user) = self.users.get_mut(&user) {
            user.doomed = Some(doomed);
        }
    }

    /// A read showed this state, or none.
    pub fn seen(&mut self, place: Place, state: Option<&ReadState>) -> Result<(), Finding> {
        self.settle(place, &format_args!("a read shows {state:?}"), |one| one.shown_as(state))?;
        self.raise(place, state.map_or(0, |state| state.version));
        Ok(())
    }

    /// All states of a user were read one by one: the user was deleted, or was not.
    pub fn seen_all(&mut self, user: u64) -> Result<(), Finding> {
        let Some(doomed) = self.users.get_mut(&user).and_then(|user| user.doomed.take()) else {
            return Ok(());
        };
        let is_there = |channel: &&u64| {
            let candidates = self.candidates(Place { user, channel: **channel });
            candidates.iter().all(|one| one.model.exists)
        };
        let there = doomed.iter().filter(is_there).count();
        if there == 0 || there == doomed.len() {
            return Ok(());
        }
        Err(format!("user {user} is half deleted: {there} of {} states are left", doomed.len()))
    }

    fn newest(&self, place: Place) -> u64 {
        self.users[&place.user].newest
    }

    fn raise(&mut self, place: Place, version: u64) {
        if let Some(user) = self.users.get_mut(&place.user) {
            user.newest = user.newest.max(version);
        }
    }

    fn replace(&mut self, place: Place, into: impl Fn(&Candidate) -> Vec<Candidate>) {
        let user = self.users.get_mut(&place.user).expect("only users of the book are called for");
        let candidates = user.states.entry(place.channel).or_default();
        let mut replaced: Vec<Candidate> = Vec::with_capacity(candidates.len());
        for candidate in candidates.iter().flat_map(into) {
            if !replaced.contains(&candidate) {
                replaced.push(candidate);
            }
        }
        *candidates = replaced;
    }

    /// Keeps the candidates from which `fits` makes one; there must be some.
    fn settle(
        &mut self,
        place: Place,
        told: &dyn std::fmt::Display,
        fits: impl Fn(&Candidate) -> Option<Candidate>,
    ) -> Result<(), Finding> {
        let before = self.candidates(place).to_vec();
        self.replace(place, |candidate| fits(candidate).into_iter().collect());
        if !self.candidates(place).is_empty() {
            return Ok(());
        }
        let finding = format!("{place:?}: {told}, but it can only be {before:#?}");
        self.replace_all(place, before);
        Err(finding)
    }

    fn replace_all(&mut self, place: Place, candidates: Vec<Candidate>) {
        if let Some(user) = self.users.get_mut(&place.user) {
            user.states.insert(place.channel, candidates);
        }
    }
}

fn counts_of(changed: bool, outcome: MentionOutcome) -> Counts {
    match outcome {
        MentionOutcome::Unspecified => [changed.into(), 0, 0],
        MentionOutcome::Incremented => [1, 0, 0],
        MentionOutcome::Duplicate => [0, 1, 0],
        MentionOutcome::AlreadyRead => [0, 0, 1],
    }
}

#[cfg(test)]
mod tests {
    use readstates::proto::{AckRequest, DeleteRequest, IncrementRequest, operation::Operation};

    use super::*;

    const PLACE: Place = Place { user: 1, channel: 1 };
    const OTHER: Place = Place { user: 1, channel: 2 };

    fn ack(message_id: u64) -> Act {
        Act::Operation(Operation::Ack(AckRequest { message_id, ..Default::default() }))
    }

    fn mention(message_id: u64) -> Act {
        Act::Operation(Operation::Increment(IncrementRequest { message_id, ..Default::default() }))
    }

    fn delete() -> Act {
        Act::Operation(Operation::Delete(DeleteRequest::default()))
    }

    fn state(version: u64, last_acked_id: u64, mention_count: u32) -> ReadState {
        ReadState {
            version,
            last_acked_id,
            mention_count,
            mentions_exact: true,
            ..ReadState::default()
        }
    }

    fn answer(state: ReadState, changed: bool, outcome: MentionOutcome) -> Answer {
        Answer { state: Some(state), changed, outcome }
    }

    fn acked(version: u64, last_acked_id: u64) -> Answer {
        answer(state(version, last_acked_id, 0), true, MentionOutcome::Unspecified)
    }

    /// A book in which message 5 was acked, at version 10.
    fn book() -> Book {
        let mut book = Book::new(1..3, 3);
        book.answered(PLACE, &ack(5), &acked(10, 5)).expect("as it must be");
        book
    }

    #[track_caller]
    fn found(result: Result<(), Finding>, words: &str) {
        let finding = result.expect_err("it is noticed");
        assert!(finding.contains(words), "{finding}");
    }

    #[test]
    fn what_was_acknowledged_must_be_there_as_it_was() {
        let mut book = book();
        found(book.seen(PLACE, None), "it can only be");
        found(book.seen(PLACE, Some(&state(10, 4, 0))), "it can only be");
        found(book.seen(PLACE, Some(&state(10, 5, 1))), "it can only be");
        found(book.seen(PLACE, Some(&state(11, 5, 0))), "it can only be");
        found(book.seen(OTHER, Some(&state(11, 5, 0))), "it can only be");
        book.seen(PLACE, Some(&state(10, 5, 0))).expect("as it was");
    }

    #[test]
    fn what_got_no_answer_may_be_there_or_not_but_not_change_its_mind() {
        for done in [false, true] {
            let mut book = book();
            book.unanswered(PLACE, &mention(7));
            assert_eq!(book.candidates(PLACE).len(), 2);
            let [is, is_not] = match done {
                true => [state(12, 5, 1), state(10, 5, 0)],
                false => [state(10, 5, 0), state(12, 5, 1)],
            };
            found(book.seen(PLACE, Some(&state(10, 5, 1))), "it can only be");
            found(book.seen(PLACE, Some(&state(12, 5, 2))), "it can only be");
            book.seen(PLACE, Some(&is)).expect("one of both");
            found(book.seen(PLACE, Some(&is_not)), "it can only be");
        }
    }

    #[test]
    fn a_retry_counts_once_whether_it_was_done_before_or_not() {
        let retried = |version, count, changed, outcome| {
            let mut book = book();
            book.unanswered(PLACE, &mention(7));
            book.answered(PLACE, &mention(7), &answer(state(version, 5, count), changed, outcome))
        };
        retried(11, 1, true, MentionOutcome::Incremented).expect("it was not done before");
        retried(11, 1, false, MentionOutcome::Duplicate).expect("it was done before");
        found(retried(12, 2, true, MentionOutcome::Incremented), "it can only be");
        found(retried(10, 1, false, MentionOutcome::Duplicate), "it can only be");
    }

    #[test]
    fn versions_only_rise_over_all_states_of_a_user() {
        let mut book = book();
        found(book.answered(OTHER, &ack(5), &acked(10, 5)), "after 10");
        let other_user = Place { user: 2, channel: 1 };
        book.answered(other_user, &ack(5), &acked(9, 5)).expect("another user's versions");
    }

    #[test]
    fn a_guard_that_matches_refuses_nothing() {
        let guarded = |version| {
            let request = AckRequest { expected_version: Some(version), ..Default::default() };
            Act::Operation(Operation::Ack(request))
        };
        let mut book = book();
        found(book.mismatched(PLACE, &guarded(10), 10), "it can only be");
        found(book.mismatched(PLACE, &guarded(9), 11), "it can only be");
        found(book.mismatched(OTHER, &guarded(0), 0), "it can only be");
        found(book.mismatched(PLACE, &ack(9), 10), "it can only be");
        found(book.answered(PLACE, &guarded(9), &acked(11, 5)), "it can only be");
        book.mismatched(PLACE, &guarded(9), 10).expect("a wrong guard");
    }

    #[test]
    fn counts_must_be_those_of_what_may_have_been_done() {
        let counted = |told| {
            let mut book = book();
            book.unanswered(OTHER, &mention(7));
            book.counted(&[PLACE, OTHER], &mention(7), told)
        };
        counted([2, 0, 0]).expect("it was not done before");
        counted([1, 1, 0]).expect("it was done before");
        found(counted([0, 2, 0]), "counted");
        found(counted([1, 0, 1]), "counted");
    }

    #[test]
    fn a_user_is_not_half_deleted() {
        for (left, fine) in [(0, true), (1, false), (2, true)] {
            let mut book = book();
            book.answered(OTHER, &ack(6), &acked(11, 6)).expect("as it must be");
            book.unanswered_deletion(1, &delete());
            book.seen(PLACE, (left > 0).then_some(&state(10, 5, 0))).expect("either");
            book.seen(OTHER, (left > 1).then_some(&state(11, 6, 0))).expect("either");
            assert_eq!(book.seen_all(1).is_ok(), fine, "{left} left");
        }
    }
}
