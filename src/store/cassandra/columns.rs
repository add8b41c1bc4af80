//! A state as columns that people can read in `cqlsh`, and back.
//!
//! Every column is always written, with 0, false or an empty list where there is nothing: a null
//! would be a tombstone in the database with each write.

use scylla::{DeserializeRow, SerializeRow, value::CqlVarint};

use super::number::{number, timestamp, varint};
use crate::{
    model::{ChannelId, Key, Kind, PartialAck, Parts, ReadState, UserId, Version},
    store::{Damage, Row, StoreError},
};

/// One row on its way out, under the names of the statement that inserts it.
#[derive(Debug, SerializeRow)]
pub(super) struct Insert {
    user_id: CqlVarint,
    #[scylla(rename = "type")]
    kind: i8,
    channel_id: CqlVarint,
    version: i64,
    deleted: bool,
    last_acked_id: CqlVarint,
    mention_count: i64,
    mentions_exact: bool,
    marked_unread: bool,
    flags: i64,
    last_viewed_day: i64,
    last_pin_ack_ms: CqlVarint,
    counted: Vec<CqlVarint>,
    zeroed: Vec<CqlVarint>,
    folded: i64,
    fold_top: CqlVarint,
    unpositioned: i64,
    last_ack: Vec<CqlVarint>,
    written_at: i64,
}

impl Insert {
    /// Bytes that it takes on the wire, about.
    pub(super) fn bytes(&self) -> usize {
        const PLAIN: usize = 192;
        const ID: usize = 13;
        PLAIN + ID * (self.counted.len() + self.zeroed.len() + self.last_ack.len())
    }
}

impl From<Row> for Insert {
    fn from(Row { key, state }: Row) -> Self {
        let mention_count = state.mention_count();
        let parts = state.to_parts();
        let varints = |ids: Vec<u64>| ids.into_iter().map(varint).collect();
        Self {
            user_id: varint(key.user.as_u64()),
            kind: kind_column(key.kind),
            channel_id: varint(key.channel.as_u64()),
            version: parts.version.as_micros().cast_signed(),
            deleted: parts.deleted,
            last_acked_id: varint(parts.last_acked_id),
            mention_count: mention_count.into(),
            mentions_exact: !parts.inexact,
            marked_unread: parts.marked_unread,
            flags: parts.flags.into(),
            last_viewed_day: parts.last_viewed_day.into(),
            last_pin_ack_ms: varint(parts.last_pin_ack_ms),
            counted: varints(parts.counted),
            zeroed: varints(parts.zeroed),
            folded: parts.folded.into(),
            fold_top: varint(parts.fold_top),
            unpositioned: parts.unpositioned.into(),
            last_ack: parts.partial_ack.map(last_ack_column).unwrap_or_default(),
            written_at: timestamp(parts.version.as_micros()),
        }
    }
}

/// One row as it is read. Where a user has nothing but the mark of a deletion, all but that and
/// the user is null.
#[derive(Debug, DeserializeRow)]
pub(super) struct Selected {
    user_id: CqlVarint,
    #[scylla(rename = "type")]
    kind: Option<i8>,
    channel_id: Option<CqlVarint>,
    deleted_at: Option<i64>,
    version: Option<i64>,
    deleted: Option<bool>,
    last_acked_id: Option<CqlVarint>,
    mentions_exact: Option<bool>,
    marked_unread: Option<bool>,
    flags: Option<i64>,
    last_viewed_day: Option<i64>,
    last_pin_ack_ms: Option<CqlVarint>,
    counted: Option<Vec<CqlVarint>>,
    zeroed: Option<Vec<CqlVarint>>,
    folded: Option<i64>,
    fold_top: Option<CqlVarint>,
    unpositioned: Option<i64>,
    last_ack: Option<Vec<CqlVarint>>,
}

/// The columns of [`Selected`], as a statement names them.
pub(super) const SELECTED: &str = "user_id, type, channel_id, deleted_at, version, deleted, \
    last_acked_id, mentions_exact, marked_unread, flags, last_viewed_day, last_pin_ack_ms, \
    counted, zeroed, folded, fold_top, unpositioned, last_ack";

impl Selected {
    /// Whether there is more than the mark of the user.
    pub(super) fn is_row(&self) -> bool {
        self.kind.is_some()
    }

    /// When the user was last deleted as a whole.
    pub(super) fn deleted_at(&self) -> Option<Version> {
        self.deleted_at.map(version_of_column)
    }

    /// The row.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the columns are those of no state.
    pub(super) fn row(self) -> Result<Row, StoreError> {
        let channel = self.channel_id.clone().unwrap_or_else(|| varint(0));
        let key = key_of(&self.user_id, self.kind.unwrap_or_default(), &channel)?;
        let corrupt = |what: &str| {
            let named = format!("the row of {key:?} {what}");
            StoreError::Corrupt(Damage::of_row(format!("a row {what}"), named))
        };
        let parts =
            self.parts().ok_or_else(|| corrupt("has a column that is null or no number"))?;
        let state = ReadState::from_parts(parts).map_err(|error| corrupt(&error.to_string()))?;
        Ok(Row { key, state })
    }

    fn parts(self) -> Option<Parts> {
        let ids = |ids: Option<Vec<CqlVarint>>| -> Option<Vec<u64>> {
            ids.unwrap_or_default().iter().map(number).collect()
        };
        let count = |column: Option<i64>| u32::try_from(column?).ok();
        Some(Parts {
            version: version_of_column(self.version?),
            deleted: self.deleted?,
            last_acked_id: number(&self.last_acked_id?)?,
            marked_unread: self.marked_unread?,
            inexact: !self.mentions_exact?,
            flags: count(self.flags)?,
            last_viewed_day: count(self.last_viewed_day)?,
            last_pin_ack_ms: number(&self.last_pin_ack_ms?)?,
            counted: ids(self.counted)?,
            zeroed: ids(self.zeroed)?,
            folded: count(self.folded)?,
            fold_top: number(&self.fold_top?)?,
            unpositioned: count(self.unpositioned)?,
            partial_ack: partial_ack_of(&ids(self.last_ack)?)?,
        })
    }
}

/// The column `type` of a kind.
pub(super) fn kind_column(kind: Kind) -> i8 {
    (kind as u8).cast_signed()
}

/// The key of these columns.
///
/// # Errors
/// [`StoreError::Corrupt`] where they are of none.
pub(super) fn key_of(user: &CqlVarint, kind: i8, channel: &CqlVarint) -> Result<Key, StoreError> {
    let key = || {
        Some(Key {
            user: UserId::new(number(user)?)?,
            kind: Kind::ALL.into_iter().find(|known| kind_column(*known) == kind)?,
            channel: ChannelId::new(number(channel)?)?,
        })
    };
    key().ok_or_else(|| {
        let columns = format!("user_id {user:?}, type {kind}, channel_id {channel:?}");
        let what = "there is a row with a key that is none";
        StoreError::Corrupt(Damage::of_row(what, format!("{what}: {columns}")))
    })
}

/// What a column of a version says.
pub(super) fn version_of_column(micros: i64) -> Version {
    Version::from_micros(micros.cast_unsigned())
}

fn last_ack_column(ack: PartialAck) -> Vec<CqlVarint> {
    vec![varint(ack.last_acked_id), varint(ack.mention_count.into()), varint(ack.left.into())]
}

fn partial_ack_of(column: &[u64]) -> Option<Option<PartialAck>> {
    match *column {
        [] => Some(None),
        [last_acked_id, mention_count, left] => Some(Some(PartialAck {
            last_acked_id,
            mention_count: u32::try_from(mention_count).ok()?,
            left: u32::try_from(left).ok()?,
        })),
        _ => None,
    }
}
