//! What only few states have, boxed apart so that the many cost 32 bytes.

use super::{Ledger, PartialAck};

/// The part of a state beyond its watermark, version, count, day and bits.
///
/// A state has one only while something in it is not at its default. While it has none, its whole
/// mention count is unpositioned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    pub(super) ledger: Ledger,
    /// The highest id that counts as already counted; 0 where the watermark is as high.
    pub(super) fold_top: u64,
    /// Mentions whose ids are not held any more, or were never known.
    pub(super) folded: u32,
    /// Mentions without a position; any ack at or above the watermark clears them.
    pub(super) unpositioned: u32,
    pub(super) last_pin_ack_ms: u64,
    /// The caller's flags where they do not fit the bits of the state; 0 otherwise.
    pub(super) wide_flags: u32,
    /// The day where it does not fit 24 bits; 0 otherwise.
    pub(super) far_day: u32,
    pub(super) partial_ack: Option<PartialAck>,
}

impl Extra {
    /// The ids of unread mentions.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The highest id that counts as already counted; 0 where the watermark is as high.
    pub fn fold_top(&self) -> u64 {
        self.fold_top
    }

    /// Mentions whose ids are not held any more, or were never known.
    pub fn folded(&self) -> u32 {
        self.folded
    }

    /// What the last ack started from, where that is kept.
    pub fn partial_ack(&self) -> Option<PartialAck> {
        self.partial_ack
    }

    /// Bytes on the heap, charged against the cache.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.ledger.heap_bytes()
    }

    pub(super) fn mention_count(&self) -> u32 {
        (self.ledger.counted().len() as u32)
            .saturating_add(self.folded)
            .saturating_add(self.unpositioned)
    }

    /// Whether the state can do without it: only unpositioned mentions, which its count holds too.
    pub(super) fn is_idle(&self) -> bool {
        self.ledger.is_empty()
            && self.fold_top == 0
            && self.folded == 0
            && self.last_pin_ack_ms == 0
            && self.wide_flags == 0
            && self.far_day == 0
            && self.partial_ack.is_none()
    }
}
