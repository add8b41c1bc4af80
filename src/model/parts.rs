//! A read state taken apart: every field by name, as a stored row has them.

use std::fmt;

use super::{Extra, Ledger, ReadState, Version};

/// Every field of a read state. [`ReadState::to_parts`] and [`ReadState::from_parts`] are inverse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the contract and of `Extra`")]
pub struct Parts {
    pub version: Version,
    pub deleted: bool,
    pub last_acked_id: u64,
    pub marked_unread: bool,
    pub inexact: bool,
    pub flags: u32,
    pub last_viewed_day: u32,
    pub last_pin_ack_ms: u64,
    pub counted: Vec<u64>,
    pub zeroed: Vec<u64>,
    pub folded: u32,
    pub fold_top: u64,
    pub unpositioned: u32,
    pub partial_ack: Option<PartialAck>,
}

/// What the last ack started from, where the watermark alone does not tell: it left mentions
/// behind, or it cleared unpositioned ones at the same watermark.
///
/// `BulkAck` answers the whole count before the call, while `Restore` takes the count between two
/// watermarks. They differ by the mentions that the ack left; this is how `Restore` knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartialAck {
    /// The watermark before the ack.
    pub last_acked_id: u64,
    /// The mention count before the ack.
    pub mention_count: u32,
    /// The mention count that the ack left.
    pub left: u32,
}

/// These parts are not those of any read state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidParts(&'static str);

impl fmt::Display for InvalidParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no read state has these parts: {}", self.0)
    }
}

impl std::error::Error for InvalidParts {}

impl ReadState {
    /// Takes the state apart.
    pub fn to_parts(&self) -> Parts {
        let extra = self.extra();
        let ledger = extra.map(|extra| &extra.ledger);
        Parts {
            version: self.version(),
            deleted: self.is_deleted(),
            last_acked_id: self.last_acked_id(),
            marked_unread: self.marked_unread(),
            inexact: !self.mentions_exact(),
            flags: self.flags(),
            last_viewed_day: self.last_viewed_day(),
            last_pin_ack_ms: self.last_pin_ack_ms(),
            counted: ledger.map(|ledger| ledger.counted().to_vec()).unwrap_or_default(),
            zeroed: ledger.map(|ledger| ledger.zeroed().to_vec()).unwrap_or_default(),
            folded: extra.map_or(0, |extra| extra.folded),
            fold_top: extra.map_or(0, |extra| extra.fold_top),
            unpositioned: self.unpositioned(),
            partial_ack: extra.and_then(|extra| extra.partial_ack),
        }
    }

    /// Puts a state together.
    ///
    /// # Errors
    /// Where an invariant of [`Ledger`] does not hold, or a live state has version 0.
    pub fn from_parts(parts: Parts) -> Result<Self, InvalidParts> {
        if parts.version == Version::ZERO {
            return Err(InvalidParts("version 0"));
        }
        let ledger = Ledger::from_sorted(parts.counted, parts.zeroed)
            .ok_or(InvalidParts("the ledger is not sorted, disjoint and of at most 128 ids"))?;
        let bound = parts.last_acked_id.max(parts.fold_top);
        if ledger.lowest().is_some_and(|lowest| lowest <= bound) {
            return Err(InvalidParts("the ledger reaches below the watermark or the fold top"));
        }
        if parts.fold_top != 0 && parts.fold_top <= parts.last_acked_id {
            return Err(InvalidParts("the fold top is not above the watermark"));
        }
        let mut state = Self::default();
        state.set_version(parts.version);
        state.set_bits(parts.deleted, parts.marked_unread, parts.inexact);
        state.set_last_acked_id(parts.last_acked_id);
        *state.extra_mut() = Extra {
            ledger,
            fold_top: parts.fold_top,
            folded: parts.folded,
            unpositioned: parts.unpositioned,
            last_pin_ack_ms: parts.last_pin_ack_ms,
            wide_flags: 0,
            far_day: 0,
            partial_ack: parts.partial_ack,
        };
        state.set_flags(parts.flags);
        state.set_last_viewed_day(parts.last_viewed_day);
        drop(state.recount());
        Ok(state)
    }
}
