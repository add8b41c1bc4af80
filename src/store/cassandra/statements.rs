//! Everything that is ever asked of the cluster while serving, prepared once.

use scylla::{
    client::{execution_profile::ExecutionProfileHandle, session::Session},
    statement::{Consistency, prepared::PreparedStatement},
};

use super::{CassandraOptions, columns::SELECTED, failure::unavailable, session::read_profile};
use crate::{config::ReplicaQuorum, store::StoreError};

/// Rows of one page that the driver asks for: each answer under way is in memory as a whole.
pub(super) const PAGE_ROWS: i32 = 200;

/// Prepared, idempotent statements. Every write carries its timestamp, so that an older one never
/// wins and a repeated one changes nothing.
pub(super) struct Statements {
    pub(super) insert: PreparedStatement,
    pub(super) select: PreparedStatement,
    pub(super) select_in: PreparedStatement,
    pub(super) select_user: PreparedStatement,
    pub(super) select_user_after: PreparedStatement,
    pub(super) select_users: PreparedStatement,
    pub(super) select_mark: PreparedStatement,
    pub(super) delete_row: PreparedStatement,
    pub(super) delete_user: PreparedStatement,
    pub(super) mark: PreparedStatement,
    pub(super) delete_mark: PreparedStatement,
    pub(super) insert_tombstone: PreparedStatement,
    pub(super) select_hours: PreparedStatement,
    pub(super) select_tombstones: PreparedStatement,
    pub(super) delete_tombstone: PreparedStatement,
    pub(super) delete_tombstones_below: PreparedStatement,
    pub(super) select_meta: PreparedStatement,
    pub(super) count_commit: PreparedStatement,
    pub(super) raise_ceiling: PreparedStatement,
    pub(super) raise_expired: PreparedStatement,
    pub(super) insert_offer: PreparedStatement,
    pub(super) select_offer: PreparedStatement,
    pub(super) select_offer_after: PreparedStatement,
    pub(super) delete_offer: PreparedStatement,
}

const INSERT: &str = "INSERT INTO {}.read_states (user_id, type, channel_id, version, deleted, \
    last_acked_id, mention_count, mentions_exact, marked_unread, flags, last_viewed_day, \
    last_pin_ack_ms, counted, zeroed, folded, fold_top, unpositioned, last_ack) \
    VALUES (:user_id, :type, :channel_id, :version, :deleted, :last_acked_id, :mention_count, \
    :mentions_exact, :marked_unread, :flags, :last_viewed_day, :last_pin_ack_ms, :counted, \
    :zeroed, :folded, :fold_top, :unpositioned, :last_ack) USING TIMESTAMP :written_at";

const SELECT_MARK: &str =
    "SELECT user_id, deleted_at FROM {}.read_states WHERE user_id = ? LIMIT 1";
const SELECT_USERS: &str = "SELECT DISTINCT user_id FROM {}.read_states";
const DELETE_ROW: &str = "DELETE FROM {}.read_states USING TIMESTAMP ? \
    WHERE user_id = ? AND type = ? AND channel_id = ?";
const DELETE_USER: &str = "DELETE FROM {}.read_states USING TIMESTAMP ? WHERE user_id = ?";
const MARK: &str = "UPDATE {}.read_states USING TIMESTAMP ? SET deleted_at = ? WHERE user_id = ?";
const DELETE_MARK: &str =
    "DELETE deleted_at FROM {}.read_states USING TIMESTAMP ? WHERE user_id = ?";
const INSERT_TOMBSTONE: &str = "INSERT INTO {}.tombstones \
    (hour, version, user_id, type, channel_id) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
const SELECT_HOURS: &str = "SELECT DISTINCT hour FROM {}.tombstones";
const SELECT_TOMBSTONES: &str = "SELECT version, user_id, type, channel_id FROM {}.tombstones \
    WHERE hour = ? AND version < ? LIMIT ?";
const DELETE_TOMBSTONE: &str = "DELETE FROM {}.tombstones USING TIMESTAMP ? \
    WHERE hour = ? AND version = ? AND user_id = ? AND type = ? AND channel_id = ?";
const DELETE_TOMBSTONES_BELOW: &str =
    "DELETE FROM {}.tombstones USING TIMESTAMP ? WHERE hour = ? AND version < ?";
const SELECT_META: &str = "SELECT format, store_id, commits, upto, clock_ceiling, expired_before \
    FROM {}.meta WHERE id = 0";
const COUNT_COMMIT: &str =
    "UPDATE {}.meta USING TIMESTAMP ? SET commits = ?, upto = ? WHERE id = 0";
const RAISE_CEILING: &str = "UPDATE {}.meta USING TIMESTAMP ? SET clock_ceiling = ? WHERE id = 0";
const RAISE_EXPIRED: &str = "UPDATE {}.meta USING TIMESTAMP ? SET expired_before = ? WHERE id = 0";

/// A chunk is put once and removed once, at a place of its own. So these timestamps, which no clock
/// tells, are enough: who removes it may have a clock far behind that of who has put it.
const INSERT_OFFER: &str = "INSERT INTO {}.offers (id, offer, chunk, records) \
    VALUES (0, ?, ?, ?) USING TIMESTAMP 1";
const SELECT_OFFER: &str = "SELECT offer, chunk, records FROM {}.offers WHERE id = 0 LIMIT 1";
const SELECT_OFFER_AFTER: &str = "SELECT offer, chunk, records FROM {}.offers \
    WHERE id = 0 AND (offer, chunk) > (?, ?) LIMIT 1";
const DELETE_OFFER: &str =
    "DELETE FROM {}.offers USING TIMESTAMP 2 WHERE id = 0 AND offer = ? AND chunk = ?";

const OF_KEY: &str = "WHERE user_id = ? AND type = ? AND channel_id = ?";
const OF_KEYS: &str = "WHERE user_id = ? AND type = ? AND channel_id IN ?";
const OF_USER: &str = "WHERE user_id = ? LIMIT ?";
const OF_USER_AFTER: &str = "WHERE user_id = ? AND (type, channel_id) > (?, ?) LIMIT ?";

impl Statements {
    pub(super) async fn prepare(
        session: &Session,
        options: &CassandraOptions,
    ) -> Result<Self, StoreError> {
        let reading = read_profile(options).into_handle();
        let of = Preparing { session, options, reading };
        Ok(Self {
            insert: of.write(INSERT).await?,
            select: of.states(OF_KEY).await?,
            select_in: of.states(OF_KEYS).await?,
            select_user: of.states(OF_USER).await?,
            select_user_after: of.states(OF_USER_AFTER).await?,
            select_users: of.read(SELECT_USERS).await?,
            select_mark: of.read(SELECT_MARK).await?,
            delete_row: of.write(DELETE_ROW).await?,
            delete_user: of.write(DELETE_USER).await?,
            mark: of.write(MARK).await?,
            delete_mark: of.write(DELETE_MARK).await?,
            insert_tombstone: of.write(INSERT_TOMBSTONE).await?,
            select_hours: of.read(SELECT_HOURS).await?,
            select_tombstones: of.read(SELECT_TOMBSTONES).await?,
            delete_tombstone: of.write(DELETE_TOMBSTONE).await?,
            delete_tombstones_below: of.write(DELETE_TOMBSTONES_BELOW).await?,
            select_meta: of.read(SELECT_META).await?,
            count_commit: of.write(COUNT_COMMIT).await?,
            raise_ceiling: of.write(RAISE_CEILING).await?,
            raise_expired: of.write(RAISE_EXPIRED).await?,
            insert_offer: of.write(INSERT_OFFER).await?,
            select_offer: of.read(SELECT_OFFER).await?,
            select_offer_after: of.read(SELECT_OFFER_AFTER).await?,
            delete_offer: of.write(DELETE_OFFER).await?,
        })
    }
}

struct Preparing<'a> {
    session: &'a Session,
    options: &'a CassandraOptions,
    reading: ExecutionProfileHandle,
}

impl Preparing<'_> {
    async fn states(&self, which: &str) -> Result<PreparedStatement, StoreError> {
        self.read(&format!("SELECT {SELECTED} FROM {{}}.read_states {which}")).await
    }

    async fn read(&self, text: &str) -> Result<PreparedStatement, StoreError> {
        let mut statement = self.prepare(text).await?;
        statement.set_page_size(PAGE_ROWS);
        statement.set_execution_profile_handle(Some(self.reading.clone()));
        Ok(statement)
    }

    async fn write(&self, text: &str) -> Result<PreparedStatement, StoreError> {
        let mut statement = self.prepare(text).await?;
        if self.options.quorum == ReplicaQuorum::Each {
            statement.set_consistency(Consistency::EachQuorum);
        }
        Ok(statement)
    }

    async fn prepare(&self, text: &str) -> Result<PreparedStatement, StoreError> {
        let text = text.replacen("{}", &self.options.keyspace, 1);
        let mut statement = self.session.prepare(text).await.map_err(unavailable)?;
        statement.set_is_idempotent(true);
        Ok(statement)
    }
}
