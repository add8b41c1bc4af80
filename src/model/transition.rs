//! How a state moves. Pure: a state and an operation in, the new state and what became of it out.

use super::ledger::Inserted;
use super::{Extra, MentionOutcome, MessageId, Operation, PartialAck, ReadState};

/// What an operation did to a state.
#[derive(Debug, Default)]
pub struct Transition {
    /// Whether anything changed. Where not, the state keeps its version and nothing is written.
    pub changed: bool,
    /// What became of the mention, for operations about one.
    pub outcome: Option<MentionOutcome>,
    /// A heap part that is not needed any more, to be dropped once no lock is held (I1).
    pub freed: Option<Box<Extra>>,
}

impl Transition {
    fn unchanged() -> Self {
        Self::default()
    }

    fn changed(state: &mut ReadState) -> Self {
        Self { changed: true, outcome: None, freed: state.recount() }
    }

    fn with(mut self, outcome: MentionOutcome) -> Self {
        self.outcome = Some(outcome);
        self
    }
}

impl ReadState {
    /// Does `operation`. The version stays: where something changed, the caller stamps the state.
    pub fn apply(&mut self, operation: &Operation) -> Transition {
        match *operation {
            Operation::Ack { message, flags, last_viewed_day } => {
                self.ack(message, flags, last_viewed_day)
            }
            Operation::Mention { message, initial_acked_id } => {
                self.mention(message, initial_acked_id)
            }
            Operation::Increment { count, initial_acked_id } => {
                self.increment(count, initial_acked_id)
            }
            Operation::Reset => self.reset(),
            Operation::MarkUnread { last_acked_id, mention_count } => {
                self.rewritten(|state| state.mark_unread(last_acked_id, mention_count))
            }
            Operation::AckPins { pinned_at_ms } => self.ack_pins(pinned_at_ms),
            Operation::Retract { message } => self.retract(message),
            Operation::Restore { last_acked_id, mention_count, marked_unread } => {
                self.rewritten(|state| state.restore(last_acked_id, mention_count, marked_unread))
            }
            Operation::Delete => self.delete(),
        }
    }

    /// Starts anew where there is nothing or a tombstone; whether it did.
    fn create(&mut self) -> bool {
        if self.exists() {
            return false;
        }
        let (version, mark) = (self.version(), self.holder_mark());
        *self = Self::default();
        self.set_version(version);
        self.set_holder_mark(mark);
        true
    }

    fn ack(&mut self, message: MessageId, flags: Option<u32>, day: Option<u32>) -> Transition {
        let mut changed = self.create();
        let message = message.as_u64();
        if message < self.last_acked_id() {
            return Transition::unchanged();
        }
        changed |= self.take_attributes(flags, day);
        let before = (self.last_acked_id(), self.mention_count());
        changed |= message > before.0 || self.marked_unread() || self.unpositioned() > 0;
        self.set_marked_unread(false);
        self.set_unpositioned(0);
        if message > before.0 {
            self.set_last_acked_id(message);
            self.pass(message);
        }
        if !changed {
            return Transition::unchanged();
        }
        let mut freed = self.recount();
        if message > before.0 || self.mention_count() != before.1 {
            freed = freed.or(self.remember_ack(before.0, before.1));
        }
        Transition { changed: true, outcome: None, freed }
    }

    /// Keeps what `Restore` needs to take this ack's own answer back: where mentions are left, or
    /// where the watermark stayed and will not tell that something was taken away.
    fn remember_ack(&mut self, last_acked_id: u64, mention_count: u32) -> Option<Box<Extra>> {
        let left = self.mention_count();
        if left > 0 || last_acked_id == self.last_acked_id() {
            let ack = PartialAck { last_acked_id, mention_count, left };
            self.extra_mut().partial_ack = Some(ack);
        } else {
            self.existing_extra_mut()?.partial_ack = None;
        }
        self.recount()
    }

    /// Takes the caller's bits and day where given; whether one of them changed.
    fn take_attributes(&mut self, flags: Option<u32>, day: Option<u32>) -> bool {
        let flags = flags.filter(|flags| *flags != self.flags());
        let day = day.filter(|day| *day != self.last_viewed_day());
        if let Some(flags) = flags {
            self.set_flags(flags);
        }
        if let Some(day) = day {
            self.set_last_viewed_day(day);
        }
        flags.is_some() || day.is_some()
    }

    /// Drops from the ledger and the fold what a watermark that moved forward has read.
    fn pass(&mut self, watermark: u64) {
        let Some(extra) = self.existing_extra_mut() else { return };
        extra.ledger.pass(watermark);
        let short = watermark < extra.fold_top && extra.folded > 0;
        let passed = watermark >= extra.fold_top;
        if passed {
            extra.folded = 0;
            extra.fold_top = 0;
        }
        // Part of the folded mentions may be read now; which, nobody knows.
        if short || passed {
            self.set_inexact(short);
        }
    }

    fn start_at(&mut self, initial_acked_id: Option<u64>) -> bool {
        let initial = initial_acked_id.unwrap_or(0);
        if initial == 0 || self.last_acked_id() != 0 || self.marked_unread() {
            return false;
        }
        self.set_last_acked_id(initial);
        self.pass(initial);
        true
    }

    fn mention(&mut self, message: MessageId, initial_acked_id: Option<u64>) -> Transition {
        let mut changed = self.create();
        changed |= self.start_at(initial_acked_id);
        let message = message.as_u64();
        let outcome = if message <= self.last_acked_id() {
            MentionOutcome::AlreadyRead
        } else {
            self.count_once(message)
        };
        if !changed && outcome != MentionOutcome::Incremented {
            return Transition::unchanged().with(outcome);
        }
        Transition::changed(self).with(outcome)
    }

    fn count_once(&mut self, message: u64) -> MentionOutcome {
        let extra = self.extra_mut();
        if message <= extra.fold_top {
            return MentionOutcome::Duplicate;
        }
        match extra.ledger.insert(message) {
            Inserted::Duplicate => return MentionOutcome::Duplicate,
            Inserted::Kept => {}
            Inserted::Folded { id, counted } => {
                extra.fold_top = id;
                if counted {
                    extra.folded = extra.folded.saturating_add(1);
                    self.set_inexact(true);
                }
            }
        }
        MentionOutcome::Incremented
    }

    fn increment(&mut self, count: u32, initial_acked_id: Option<u64>) -> Transition {
        let mut changed = self.create();
        changed |= self.start_at(initial_acked_id);
        let before = self.unpositioned();
        self.set_unpositioned(before.saturating_add(count));
        changed |= self.unpositioned() != before;
        if !changed {
            return Transition::unchanged().with(MentionOutcome::Incremented);
        }
        Transition::changed(self).with(MentionOutcome::Incremented)
    }

    fn reset(&mut self) -> Transition {
        if !self.exists() || (self.mention_count() == 0 && self.mentions_exact()) {
            return Transition::unchanged();
        }
        self.set_unpositioned(0);
        self.set_inexact(false);
        if let Some(extra) = self.existing_extra_mut() {
            extra.ledger.zero_all();
            extra.folded = 0;
        }
        Transition::changed(self)
    }

    fn ack_pins(&mut self, pinned_at_ms: u64) -> Transition {
        let created = self.create();
        if pinned_at_ms > self.last_pin_ack_ms() {
            self.extra_mut().last_pin_ack_ms = pinned_at_ms;
        } else if !created {
            return Transition::unchanged();
        }
        Transition::changed(self)
    }

    fn retract(&mut self, message: MessageId) -> Transition {
        let zeroed =
            self.existing_extra_mut().is_some_and(|extra| extra.ledger.zero(message.as_u64()));
        if zeroed { Transition::changed(self) } else { Transition::unchanged() }
    }

    fn delete(&mut self) -> Transition {
        if !self.exists() {
            return Transition::unchanged();
        }
        let mut tombstone = Self::tombstone(self.version());
        tombstone.set_holder_mark(self.holder_mark());
        let freed = std::mem::replace(self, tombstone).into_extra();
        Transition { changed: true, outcome: None, freed }
    }

    /// For rewinds, which touch so much that comparing is the plainest way to see a change.
    fn rewritten(&mut self, rewrite: impl FnOnce(&mut Self)) -> Transition {
        let before = self.clone();
        let created = self.create();
        rewrite(self);
        let freed = self.recount();
        if !created && *self == before {
            return Transition { freed, ..Transition::unchanged() };
        }
        if let Some(extra) = self.existing_extra_mut() {
            extra.partial_ack = None;
        }
        Transition { changed: true, outcome: None, freed: freed.or(self.recount()) }
    }

    fn mark_unread(&mut self, target: u64, mention_count: Option<u32>) {
        let current = self.last_acked_id();
        self.set_marked_unread(true);
        self.move_to(target);
        if let Some(count) = mention_count {
            // The caller has counted everything above the target anew.
            let extra = self.extra_mut();
            extra.folded = count.saturating_sub(extra.ledger.counted().len() as u32);
            extra.unpositioned = 0;
            self.set_inexact(false);
        } else if target < current {
            self.set_inexact(true);
        }
    }

    fn restore(&mut self, target: u64, mention_count: u32, marked_unread: bool) {
        let current = self.last_acked_id();
        let left = self.left_by_ack(target, mention_count);
        self.set_marked_unread(marked_unread);
        self.move_to(target);
        match left {
            Some(left) => self.fold_more(mention_count.saturating_sub(left)),
            None if target < current => self.fold_more(mention_count),
            None => self.restore_in_place(mention_count),
        }
    }

    fn fold_more(&mut self, count: u32) {
        let extra = self.extra_mut();
        extra.folded = extra.folded.saturating_add(count);
    }

    /// Nothing lies between the watermarks, so `count` is a whole count, as `BulkAck` answers it of
    /// an ack that moved nothing. It fills up what is counted already, so that a retry is harmless,
    /// and takes nothing away.
    fn restore_in_place(&mut self, count: u32) {
        let extra = self.extra_mut();
        let held = extra.unpositioned.saturating_add(extra.ledger.counted().len() as u32);
        extra.folded = extra.folded.max(count.saturating_sub(held));
    }

    /// What the last ack left behind, where this is that ack's own answer coming back.
    fn left_by_ack(&self, last_acked_id: u64, mention_count: u32) -> Option<u32> {
        let partial = self.extra()?.partial_ack?;
        (partial.last_acked_id == last_acked_id && partial.mention_count == mention_count)
            .then_some(partial.left)
    }

    /// Sets the watermark anywhere. Going back, what was once read stays known as counted, so that
    /// a late retry of a mention cannot come back.
    fn move_to(&mut self, target: u64) {
        let current = self.last_acked_id();
        self.set_last_acked_id(target);
        if target > current {
            self.pass(target);
        }
        if target < current {
            let extra = self.extra_mut();
            extra.fold_top = extra.fold_top.max(current);
        }
    }
}
