//! A read state as the contract tells it, with nothing saved: every mention keeps its id and what
//! became of it, and each rule is a line of its own. Written from the contract alone.

use std::collections::BTreeMap;

use readstates::model::{Guard, LEDGER_MAX, MentionOutcome, Operation, View};

use crate::subject::Answer;

/// What became of a mention above the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// In the ledger, counted.
    Waiting,
    /// In the ledger, retracted or reset.
    Zeroed,
    /// Pushed out of the ledger while it counted: still counted, but not one by one any more.
    Folded,
}

/// What a `BulkAck` answered about its last ack.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Answered {
    last_acked_id: u64,
    mention_count: u32,
    left: u32,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Naive {
    pub version: u64,
    pub deleted: bool,
    watermark: u64,
    dot: bool,
    flags: u32,
    day: u32,
    pins: u64,
    mentions: BTreeMap<u64, Fate>,
    fold_top: u64,
    /// Mentions that a caller's count told of.
    given: u32,
    unpositioned: u32,
    /// A rewind without a count is not yet passed.
    rewound: bool,
    /// An ack went past some, but not all, of the mentions that are not held one by one.
    cut: bool,
    answered: Option<Answered>,
}

impl Naive {
    pub fn exists(&self) -> bool {
        self.version != 0 && !self.deleted
    }

    pub fn mention_count(&self) -> u32 {
        let by_id = self.mentions.values().filter(|fate| **fate != Fate::Zeroed).count() as u64;
        let all = by_id + u64::from(self.given) + u64::from(self.unpositioned);
        u32::try_from(all).unwrap_or(u32::MAX)
    }

    fn exact(&self) -> bool {
        let overflowed = self.mentions.values().any(|fate| *fate == Fate::Folded);
        !overflowed && !self.rewound && !self.cut
    }

    pub fn view(&self) -> View {
        View {
            version: readstates::model::Version::from_micros(self.version),
            deleted: self.deleted,
            last_acked_id: self.watermark,
            mention_count: self.mention_count(),
            marked_unread: self.dot,
            mentions_exact: self.exact(),
            flags: self.flags,
            last_viewed_day: self.day,
            last_pin_ack_ms: self.pins,
        }
    }

    /// Ids held one by one that count, rising.
    pub fn waiting(&self) -> Vec<u64> {
        self.with_fate(Fate::Waiting)
    }

    /// Ids held one by one that count nothing, rising.
    pub fn zeroed(&self) -> Vec<u64> {
        self.with_fate(Fate::Zeroed)
    }

    fn with_fate(&self, wanted: Fate) -> Vec<u64> {
        self.mentions.iter().filter(|(_, fate)| **fate == wanted).map(|(id, _)| *id).collect()
    }

    pub fn admits(&self, guard: &Guard) -> bool {
        let version = guard.version.is_none_or(|expected| {
            expected.as_micros() == self.version || (expected.as_micros() == 0 && !self.exists())
        });
        version && guard.last_acked_id.is_none_or(|expected| expected == self.watermark)
    }

    /// Does `operation`; a change gives the state the version `next`.
    pub fn apply(&mut self, operation: &Operation, next: u64) -> Answer {
        let before = self.everything();
        let outcome = self.perform(operation);
        let changed = before != self.everything();
        if changed {
            self.version = next;
        }
        Answer { changed, outcome }
    }

    /// Everything that a rule of the contract reads, but for versions.
    fn everything(&self) -> Self {
        Self { version: u64::from(self.exists()), answered: None, ..self.clone() }
    }

    fn perform(&mut self, operation: &Operation) -> Option<MentionOutcome> {
        match *operation {
            Operation::Ack { message, flags, last_viewed_day } => {
                self.ack(message.as_u64(), flags, last_viewed_day);
            }
            Operation::Mention { message, initial_acked_id } => {
                self.start(initial_acked_id);
                return Some(self.mention(message.as_u64()));
            }
            Operation::Increment { count, initial_acked_id } => {
                self.start(initial_acked_id);
                self.unpositioned = self.unpositioned.saturating_add(count);
                return Some(MentionOutcome::Incremented);
            }
            Operation::Reset => self.reset(),
            Operation::MarkUnread { last_acked_id, mention_count } => {
                self.mark_unread(last_acked_id, mention_count);
            }
            Operation::AckPins { pinned_at_ms } => {
                self.create();
                self.pins = self.pins.max(pinned_at_ms);
            }
            Operation::Retract { message } => self.retract(message.as_u64()),
            Operation::Restore { last_acked_id, mention_count, marked_unread } => {
                self.restore(last_acked_id, mention_count, marked_unread);
            }
            Operation::Delete => {
                if self.exists() {
                    *self = Self { version: self.version, deleted: true, ..Self::default() };
                }
            }
        }
        None
    }

    fn create(&mut self) {
        if !self.exists() {
            *self = Self { version: self.version.max(1), ..Self::default() };
        }
    }

    fn start(&mut self, initial_acked_id: Option<u64>) {
        self.create();
        let initial = initial_acked_id.unwrap_or(0);
        if self.watermark == 0 && !self.dot && initial > 0 {
            self.advance(initial);
        }
    }

    fn ack(&mut self, id: u64, flags: Option<u32>, day: Option<u32>) {
        self.create();
        if id < self.watermark {
            return;
        }
        let answered = (self.watermark, self.mention_count());
        self.dot = false;
        self.unpositioned = 0;
        self.flags = flags.unwrap_or(self.flags);
        self.day = day.unwrap_or(self.day);
        if id > self.watermark {
            self.advance(id);
        }
        let (last_acked_id, mention_count) = answered;
        let left = self.mention_count();
        if id > last_acked_id || left != mention_count {
            self.answered = Some(Answered { last_acked_id, mention_count, left });
        }
    }

    /// Everything up to `id`, which is above the watermark, is read.
    fn advance(&mut self, id: u64) {
        self.answered = None;
        self.watermark = id;
        if id >= self.fold_top {
            self.mentions.retain(|mention, fate| *mention > id && *fate != Fate::Folded);
            self.given = 0;
            self.fold_top = 0;
            self.rewound = false;
            self.cut = false;
        } else {
            self.mentions.retain(|mention, fate| *mention > id || *fate == Fate::Folded);
            let folded = self.mentions.values().any(|fate| *fate == Fate::Folded);
            self.cut |= folded || self.given > 0;
        }
    }

    fn mention(&mut self, id: u64) -> MentionOutcome {
        if id <= self.watermark {
            return MentionOutcome::AlreadyRead;
        }
        if id <= self.fold_top || self.mentions.contains_key(&id) {
            return MentionOutcome::Duplicate;
        }
        self.mentions.insert(id, Fate::Waiting);
        let held = self.waiting().len() + self.zeroed().len();
        if held > LEDGER_MAX {
            self.fold_lowest();
        }
        MentionOutcome::Incremented
    }

    fn fold_lowest(&mut self) {
        let held = |fate: &Fate| *fate != Fate::Folded;
        let lowest =
            self.mentions.iter().find(|(_, fate)| held(fate)).map(|(id, fate)| (*id, *fate));
        let (id, fate) = lowest.expect("a full ledger holds ids");
        self.fold_top = id;
        match fate {
            Fate::Waiting => drop(self.mentions.insert(id, Fate::Folded)),
            _ => drop(self.mentions.remove(&id)),
        }
    }

    fn reset(&mut self) {
        if !self.exists() {
            return;
        }
        self.mentions.retain(|_, fate| *fate != Fate::Folded);
        self.mentions.values_mut().for_each(|fate| *fate = Fate::Zeroed);
        self.given = 0;
        self.unpositioned = 0;
        self.rewound = false;
        self.cut = false;
    }

    fn retract(&mut self, id: u64) {
        if let Some(fate @ Fate::Waiting) = self.mentions.get_mut(&id) {
            *fate = Fate::Zeroed;
        }
    }

    fn mark_unread(&mut self, target: u64, count: Option<u32>) {
        self.create();
        self.dot = true;
        let old = self.watermark;
        self.move_to(target);
        if let Some(count) = count {
            self.mentions.retain(|_, fate| *fate != Fate::Folded);
            self.given = count.saturating_sub(self.waiting().len() as u32);
            self.unpositioned = 0;
            self.rewound = false;
            self.cut = false;
        } else if target < old {
            self.rewound = true;
        }
    }

    fn restore(&mut self, target: u64, count: u32, dot: bool) {
        self.create();
        self.dot = dot;
        let own = self
            .answered
            .filter(|answered| answered.last_acked_id == target && answered.mention_count == count);
        let back = target < self.watermark;
        self.move_to(target);
        if let Some(answered) = own {
            // The answer of `BulkAck` coming back: what the ack left was never taken away.
            self.given = self.given.saturating_add(count - answered.left);
        } else if back {
            self.given = self.given.saturating_add(count);
        } else {
            self.restore_in_place(count);
        }
    }

    /// Nothing lies between the watermarks, so `count` is a whole count: it becomes the folded
    /// count as far as it is more than what is counted already.
    fn restore_in_place(&mut self, count: u32) {
        let missing = count.saturating_sub(self.mention_count());
        self.given = self.given.saturating_add(missing);
    }

    /// Puts the watermark anywhere; what was read once counts as already counted.
    fn move_to(&mut self, target: u64) {
        if target > self.watermark {
            self.advance(target);
        } else if target < self.watermark {
            self.fold_top = self.fold_top.max(self.watermark);
            self.watermark = target;
        }
        self.answered = None;
    }
}
