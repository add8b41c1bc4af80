//! States with all their parts, to the wire and back.

use super::{decode, reason::Reason, status::Failure};
use crate::{
    engine::{Checked, Difference, DifferenceKind},
    model::{Key, PartialAck, Parts, ReadState, Version},
    proto,
};

pub(super) fn encode(key: &Key, state: &ReadState) -> proto::StateRecord {
    let parts = state.to_parts();
    proto::StateRecord {
        user_id: key.user.as_u64(),
        channel_id: key.channel.as_u64(),
        r#type: i32::from(key.kind as u8),
        version: parts.version.as_micros(),
        deleted: parts.deleted,
        last_acked_id: parts.last_acked_id,
        marked_unread: parts.marked_unread,
        mentions_inexact: parts.inexact,
        flags: parts.flags,
        last_viewed_day: parts.last_viewed_day,
        last_pin_ack_ms: parts.last_pin_ack_ms,
        counted_ids: parts.counted,
        zeroed_ids: parts.zeroed,
        folded_count: parts.folded,
        fold_top: parts.fold_top,
        unpositioned_count: parts.unpositioned,
        partial_ack: parts.partial_ack.map(|ack| proto::PartialAck {
            last_acked_id: ack.last_acked_id,
            mention_count: ack.mention_count,
            left_count: ack.left,
        }),
    }
}

/// Every state of a batch, or what is wrong with the first one that is.
pub(super) fn decode_all(
    records: Vec<proto::StateRecord>,
) -> Result<Vec<(Key, ReadState)>, Failure> {
    let each = records.into_iter().enumerate();
    each.map(|(place, record)| decode(record, &format!("states[{place}]"))).collect()
}

fn decode(record: proto::StateRecord, field: &str) -> Result<(Key, ReadState), Failure> {
    let key = decode::key(record.user_id, record.channel_id, record.r#type);
    let key = key.map_err(|failure| failure.within(field))?;
    let invalid = |why: String| Failure::of_field(Reason::InvalidState, field, why);
    let state = ReadState::from_parts(parts(record)).map_err(|error| invalid(error.to_string()))?;
    if state.is_deleted() && state != ReadState::tombstone(state.version()) {
        return Err(invalid("a tombstone has nothing but its version".to_owned()));
    }
    Ok((key, state))
}

fn parts(record: proto::StateRecord) -> Parts {
    Parts {
        version: Version::from_micros(record.version),
        deleted: record.deleted,
        last_acked_id: record.last_acked_id,
        marked_unread: record.marked_unread,
        inexact: record.mentions_inexact,
        flags: record.flags,
        last_viewed_day: record.last_viewed_day,
        last_pin_ack_ms: record.last_pin_ack_ms,
        counted: record.counted_ids,
        zeroed: record.zeroed_ids,
        folded: record.folded_count,
        fold_top: record.fold_top,
        unpositioned: record.unpositioned_count,
        partial_ack: record.partial_ack.map(|ack| PartialAck {
            last_acked_id: ack.last_acked_id,
            mention_count: ack.mention_count,
            left: ack.left_count,
        }),
    }
}

pub(super) fn checked(checked: &Checked) -> proto::VerifyResponse {
    proto::VerifyResponse {
        rows: checked.rows,
        cached: checked.cached,
        undecided: checked.undecided,
        differences: checked.differences.iter().map(difference).collect(),
    }
}

fn difference(difference: &Difference) -> proto::Difference {
    let kind = match difference.kind {
        DifferenceKind::Invalid => proto::DifferenceKind::Invalid,
        DifferenceKind::RowMissing => proto::DifferenceKind::RowMissing,
        DifferenceKind::RowDiffers => proto::DifferenceKind::RowDiffers,
        DifferenceKind::RowNewer => proto::DifferenceKind::RowNewer,
        DifferenceKind::RowDamaged => proto::DifferenceKind::RowDamaged,
    };
    proto::Difference {
        key: Some(super::encode::key(&difference.key)),
        kind: kind.into(),
        cached_version: difference.cached.as_micros(),
        stored_version: difference.stored.as_micros(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChannelId, Kind, MessageId, Operation, UserId};

    type Spoil = fn(&mut proto::StateRecord);

    fn key() -> Key {
        let user = UserId::new(u64::MAX).unwrap();
        Key { user, kind: Kind::GuildHome, channel: ChannelId::new(7).unwrap() }
    }

    /// A state in which no part is at its default.
    fn full() -> ReadState {
        let parts = Parts {
            version: Version::from_micros(1),
            deleted: false,
            last_acked_id: 2,
            marked_unread: true,
            inexact: true,
            flags: u32::MAX,
            last_viewed_day: u32::MAX,
            last_pin_ack_ms: 3,
            counted: vec![10, 20],
            zeroed: vec![15],
            folded: 4,
            fold_top: 5,
            unpositioned: 6,
            partial_ack: Some(PartialAck { last_acked_id: 1, mention_count: 9, left: 8 }),
        };
        ReadState::from_parts(parts).unwrap()
    }

    #[test]
    fn every_part_comes_back() {
        let mut plain = ReadState::default();
        let message = MessageId::new(9).unwrap();
        drop(plain.apply(&Operation::Ack { message, flags: None, last_viewed_day: None }));
        plain.set_version(Version::from_micros(8));
        for state in [full(), plain, ReadState::tombstone(Version::from_micros(3))] {
            let record = encode(&key(), &state);
            assert_eq!(decode_all(vec![record]).unwrap(), [(key(), state)]);
        }
    }

    #[test]
    fn what_is_no_state_is_refused_by_its_place() {
        let good = encode(&key(), &full());
        let cases: [(Spoil, &str); 7] = [
            (|record| record.user_id = 0, "states[1].user_id"),
            (|record| record.channel_id = 0, "states[1].channel_id"),
            (|record| record.r#type = 99, "states[1].type"),
            (|record| record.version = 0, "states[1]"),
            (|record| record.deleted = true, "states[1]"),
            (|record| record.counted_ids = vec![20, 10], "states[1]"),
            (|record| record.fold_top = 1, "states[1]"),
        ];
        for (spoil, field) in cases {
            let mut bad = good.clone();
            spoil(&mut bad);
            let failure = decode_all(vec![good.clone(), bad]).unwrap_err();
            assert_eq!(failure.field, field, "{}", failure.message);
        }
    }
}
