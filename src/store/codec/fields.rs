//! Every field of a state, with its lists borrowed: a row is written without a copy of them.

use crate::model::{PartialAck, Parts, ReadState, Version};

/// As [`Parts`], but the ids stay where they are.
pub(super) struct Fields<'a> {
    pub(super) version: Version,
    pub(super) deleted: bool,
    pub(super) last_acked_id: u64,
    pub(super) marked_unread: bool,
    pub(super) inexact: bool,
    pub(super) flags: u32,
    pub(super) last_viewed_day: u32,
    pub(super) last_pin_ack_ms: u64,
    pub(super) counted: &'a [u64],
    pub(super) zeroed: &'a [u64],
    pub(super) folded: u32,
    pub(super) fold_top: u64,
    pub(super) unpositioned: u32,
    pub(super) partial_ack: Option<PartialAck>,
}

impl<'a> Fields<'a> {
    pub(super) fn of_state(state: &'a ReadState) -> Self {
        let extra = state.extra();
        Self {
            version: state.version(),
            deleted: state.is_deleted(),
            last_acked_id: state.last_acked_id(),
            marked_unread: state.marked_unread(),
            inexact: !state.mentions_exact(),
            flags: state.flags(),
            last_viewed_day: state.last_viewed_day(),
            last_pin_ack_ms: state.last_pin_ack_ms(),
            counted: extra.map_or(&[], |extra| extra.ledger().counted()),
            zeroed: extra.map_or(&[], |extra| extra.ledger().zeroed()),
            folded: extra.map_or(0, |extra| extra.folded()),
            fold_top: extra.map_or(0, |extra| extra.fold_top()),
            unpositioned: state.unpositioned(),
            partial_ack: extra.and_then(|extra| extra.partial_ack()),
        }
    }

    pub(super) fn of_parts(parts: &'a Parts) -> Self {
        Self {
            version: parts.version,
            deleted: parts.deleted,
            last_acked_id: parts.last_acked_id,
            marked_unread: parts.marked_unread,
            inexact: parts.inexact,
            flags: parts.flags,
            last_viewed_day: parts.last_viewed_day,
            last_pin_ack_ms: parts.last_pin_ack_ms,
            counted: &parts.counted,
            zeroed: &parts.zeroed,
            folded: parts.folded,
            fold_top: parts.fold_top,
            unpositioned: parts.unpositioned,
            partial_ack: parts.partial_ack,
        }
    }
}
