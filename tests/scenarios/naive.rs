//! A read state in plain sets of ids, written from the contract alone, for states whose ledger
//! never overflows.

use std::collections::BTreeSet;

use readstates::proto::{MentionOutcome, ReadState, operation::Operation};

/// One state, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Naive {
    pub exists: bool,
    pub watermark: u64,
    pub dot: bool,
    flags: u32,
    day: u32,
    pins: u64,
    /// Mentions that count, by message.
    waiting: BTreeSet<u64>,
    /// Mentions retracted or reset, until an ack passes them.
    zeroed: BTreeSet<u64>,
    unpositioned: u32,
    /// What callers said that lies between a rewound watermark and where it was.
    told: u32,
    /// Up to here everything counts as already counted.
    top: u64,
    short: bool,
}

/// What a state must answer, but for its version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    watermark: u64,
    count: u32,
    dot: bool,
    flags: u32,
    day: u32,
    pins: u64,
    exact: bool,
}

impl From<&ReadState> for Shown {
    fn from(state: &ReadState) -> Self {
        Self {
            watermark: state.last_acked_id,
            count: state.mention_count,
            dot: state.marked_unread,
            flags: state.flags,
            day: state.last_viewed_day,
            pins: state.last_pin_ack_ms,
            exact: state.mentions_exact,
        }
    }
}

impl Naive {
    pub fn count(&self) -> u32 {
        self.waiting.len() as u32 + self.unpositioned + self.told
    }

    /// Ids that a ledger holds of it.
    #[allow(dead_code, reason = "only those ask who draw long histories")]
    pub fn held(&self) -> usize {
        self.waiting.len() + self.zeroed.len()
    }

    pub fn shown(&self) -> Shown {
        Shown {
            watermark: self.watermark,
            count: self.count(),
            dot: self.dot,
            flags: self.flags,
            day: self.day,
            pins: self.pins,
            exact: !self.short,
        }
    }

    /// Does `operation`; whether anything changed, and what became of a mention.
    pub fn apply(&mut self, operation: &Operation) -> (bool, MentionOutcome) {
        let before = self.clone();
        let outcome = match operation {
            Operation::Ack(request) => {
                self.ack(request.message_id, request.flags, request.last_viewed_day)
            }
            Operation::Increment(request) => self.increment(
                request.message_id,
                request.count,
                request.initial_acked_id.unwrap_or(0),
            ),
            Operation::Reset(_) => self.reset(),
            Operation::MarkUnread(request) => {
                self.mark_unread(request.message_id, request.mention_count)
            }
            Operation::AckPins(request) => self.ack_pins(request.pinned_at_ms),
            Operation::Delete(_) => self.delete(),
        };
        (*self != before, outcome)
    }

    fn ack(&mut self, id: u64, flags: Option<u32>, day: Option<u32>) -> MentionOutcome {
        self.exists = true;
        if id >= self.watermark {
            self.flags = flags.unwrap_or(self.flags);
            self.day = day.unwrap_or(self.day);
            self.dot = false;
            self.unpositioned = 0;
        }
        self.advance(id);
        MentionOutcome::Unspecified
    }

    /// Everything up to `id` is read, if it was not.
    fn advance(&mut self, id: u64) {
        if id <= self.watermark {
            return;
        }
        self.watermark = id;
        self.waiting.retain(|mention| *mention > id);
        self.zeroed.retain(|mention| *mention > id);
        if id >= self.top {
            (self.top, self.told, self.short) = (0, 0, false);
        } else if self.told > 0 {
            self.short = true;
        }
    }

    fn increment(&mut self, id: u64, count: u32, initial: u64) -> MentionOutcome {
        self.exists = true;
        if self.watermark == 0 && !self.dot {
            self.advance(initial);
        }
        if id == 0 {
            self.unpositioned += count.max(1);
        } else if id <= self.watermark {
            return MentionOutcome::AlreadyRead;
        } else if id <= self.top || self.zeroed.contains(&id) || !self.waiting.insert(id) {
            return MentionOutcome::Duplicate;
        }
        MentionOutcome::Incremented
    }

    fn reset(&mut self) -> MentionOutcome {
        self.zeroed.append(&mut self.waiting);
        (self.told, self.unpositioned, self.short) = (0, 0, false);
        MentionOutcome::Unspecified
    }

    fn mark_unread(&mut self, target: u64, count: Option<u32>) -> MentionOutcome {
        self.exists = true;
        self.dot = true;
        let rewound = target < self.watermark;
        self.rewind(target);
        self.advance(target);
        if let Some(count) = count {
            self.told = count.saturating_sub(self.waiting.len() as u32);
            (self.unpositioned, self.short) = (0, false);
        } else if rewound {
            self.short = true;
        }
        MentionOutcome::Unspecified
    }

    /// The watermark goes back, if `target` is below it.
    fn rewind(&mut self, target: u64) {
        if target < self.watermark {
            self.top = self.top.max(self.watermark);
            self.watermark = target;
        }
    }

    fn ack_pins(&mut self, pinned_at_ms: u64) -> MentionOutcome {
        self.exists = true;
        self.pins = self.pins.max(pinned_at_ms);
        MentionOutcome::Unspecified
    }

    fn delete(&mut self) -> MentionOutcome {
        *self = Self::default();
        MentionOutcome::Unspecified
    }

    /// Whether the mention was counted one by one until now.
    pub fn retract(&mut self, id: u64) -> bool {
        self.waiting.remove(&id) && self.zeroed.insert(id)
    }

    /// Takes back an ack that was done just now on a state that looked like `before`.
    pub fn undo_ack(&mut self, before: &Self) {
        self.told += before.count() - self.count();
        self.rewind(before.watermark);
        self.dot = before.dot;
    }
}
