//! The tables: what they are, how they are made, and whether they are there.

use std::collections::HashMap;

use scylla::client::session::Session;

use super::failure::{invalid, unavailable};
use crate::store::StoreError;

/// The format of the tables that this release makes and understands.
pub(super) const FORMAT: i32 = 1;

/// The table of the states, with its columns and their types.
const READ_STATES: &str = "\
CREATE TABLE IF NOT EXISTS read_states (
    user_id varint,
    type tinyint,
    channel_id varint,
    deleted_at bigint static,
    version bigint,
    deleted boolean,
    last_acked_id varint,
    mention_count bigint,
    mentions_exact boolean,
    marked_unread boolean,
    flags bigint,
    last_viewed_day bigint,
    last_pin_ack_ms varint,
    counted frozen<list<varint>>,
    zeroed frozen<list<varint>>,
    folded bigint,
    fold_top varint,
    unpositioned bigint,
    last_ack frozen<list<varint>>,
    PRIMARY KEY ((user_id), type, channel_id)
) WITH comment = 'one row for each read state; version is microseconds, and the write timestamp'";

/// Where deleted states and marks of deleted users are, oldest first, by the hour of their version.
/// A mark has type and channel 0.
const TOMBSTONES: &str = "\
CREATE TABLE IF NOT EXISTS tombstones (
    hour bigint,
    version bigint,
    user_id varint,
    type tinyint,
    channel_id varint,
    PRIMARY KEY ((hour), version, user_id, type, channel_id)
) WITH comment = 'deletions that expire, by the hour of their version'";

/// The one row that tells which store this is and how much was written to it.
const META: &str = "\
CREATE TABLE IF NOT EXISTS meta (
    id int PRIMARY KEY,
    format int,
    store_id bigint,
    commits bigint,
    upto bigint,
    clock_ceiling bigint,
    expired_before bigint
) WITH comment = 'which store this is, and how much was written to it'";

/// The one row that only lightweight transactions touch.
const LEASE: &str = "\
CREATE TABLE IF NOT EXISTS lease (
    id int PRIMARY KEY,
    owner text,
    incarnation bigint,
    beat bigint,
    epoch bigint,
    ceiling bigint
) WITH comment = 'who may write; touched by lightweight transactions only'";

/// What deposed owners had acknowledged and not flushed, until the owner has merged it.
///
/// Removed chunks are read past for as long as any tombstone, which few are: one for 256 KiB. A
/// shorter `gc_grace_seconds` would be dearer: a node that was away for longer than that, over a
/// weekend say, would bring back chunks, which would be merged into what came since.
const OFFERS: &str = "\
CREATE TABLE IF NOT EXISTS offers (
    id int,
    offer bigint,
    chunk int,
    records blob,
    PRIMARY KEY ((id), offer, chunk)
) WITH comment = 'what deposed owners had not flushed, until the owner has merged it'";

const TABLES: [&str; 5] = [READ_STATES, TOMBSTONES, META, LEASE, OFFERS];

/// How the keyspace is made, if it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Copies of each row in each datacenter.
    pub factor: u32,
}

/// The statements that make everything, in their order. The tables' are for within the keyspace.
pub fn schema(keyspace: &str, replication: &Replication) -> Vec<String> {
    let made = format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = \
         {{'class': 'NetworkTopologyStrategy', 'replication_factor': {}}}",
        replication.factor
    );
    std::iter::once(made).chain(TABLES.map(|table| within(keyspace, table))).collect()
}

fn within(keyspace: &str, table: &str) -> String {
    table.replacen("EXISTS ", &format!("EXISTS {keyspace}."), 1)
}

/// Makes what is not there. What is there stays as it is.
pub(super) async fn apply(
    session: &Session,
    keyspace: &str,
    replication: &Replication,
) -> Result<(), StoreError> {
    for statement in schema(keyspace, replication) {
        session.query_unpaged(statement, ()).await.map_err(unavailable)?;
    }
    // Who comes second finds the number of who came first.
    let made = format!(
        "INSERT INTO {keyspace}.meta (id, format, store_id) VALUES (0, {FORMAT}, ?) IF NOT EXISTS"
    );
    let id = rand::random_range(1..=i64::MAX);
    session.query_unpaged(made, (id,)).await.map_err(unavailable)?;
    Ok(())
}

/// Whether everything is there, in the form that is expected.
pub(super) async fn check(session: &Session, keyspace: &str) -> Result<(), StoreError> {
    let there = columns(session, keyspace).await?;
    if there.is_empty() {
        return Err(missing(keyspace, "has no tables, or is not there"));
    }
    for table in TABLES {
        let (name, columns) = parsed(table);
        for (column, kind) in columns {
            match there.get(&(name.to_owned(), column.to_owned())) {
                Some(found) if found == kind => {}
                Some(found) => {
                    let what = format!("has {name}.{column} as {found}, and {kind} is expected");
                    return Err(invalid(format!("the keyspace {keyspace} {what}")));
                }
                None => return Err(missing(keyspace, &format!("has no column {name}.{column}"))),
            }
        }
    }
    Ok(())
}

fn missing(keyspace: &str, what: &str) -> StoreError {
    invalid(format!(
        "the keyspace {keyspace} {what}; run `readstates schema apply` with the same settings"
    ))
}

type Columns = HashMap<(String, String), String>;

async fn columns(session: &Session, keyspace: &str) -> Result<Columns, StoreError> {
    let select = "SELECT table_name, column_name, type FROM system_schema.columns \
                  WHERE keyspace_name = ?";
    let found = session.query_unpaged(select, (keyspace,)).await.map_err(unavailable)?;
    let found = found.into_rows_result().map_err(unavailable)?;
    let rows = found.rows::<(String, String, String)>().map_err(unavailable)?;
    rows.map(|row| row.map(|(table, column, kind)| ((table, column), kind)))
        .collect::<Result<_, _>>()
        .map_err(unavailable)
}

/// The name of a table and its columns with their types, read from how it is made.
fn parsed(table: &str) -> (&str, impl Iterator<Item = (&str, &str)>) {
    let (head, body) = table.split_once(" (\n").unwrap_or((table, ""));
    let name = head.rsplit(' ').next().unwrap_or(head);
    let lines = body.lines().map(str::trim);
    let columns = lines.take_while(|line| !line.starts_with(['P', ')']));
    let columns = columns.filter_map(|line| line.trim_end_matches(',').split_once(' '));
    (name, columns.map(|(name, kind)| (name, plain(kind))))
}

fn plain(kind: &str) -> &str {
    kind.trim_end_matches(" static").trim_end_matches(" PRIMARY KEY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_checked_is_what_is_made() {
        let (name, columns) = parsed(META);
        assert_eq!(name, "meta");
        let columns: Vec<_> = columns.collect();
        assert_eq!(columns[0], ("id", "int"));
        assert_eq!(columns.len(), 7);
        let (name, columns) = parsed(READ_STATES);
        assert_eq!(name, "read_states");
        let columns: Vec<_> = columns.collect();
        assert_eq!(columns[3], ("deleted_at", "bigint"));
        assert_eq!(columns.last(), Some(&("last_ack", "frozen<list<varint>>")));
        assert_eq!(columns.len(), 19);
    }

    #[test]
    fn every_statement_names_the_keyspace() {
        let statements = schema("chat", &Replication { factor: 3 });
        assert_eq!(statements.len(), 6);
        assert!(statements[0].contains("'replication_factor': 3"));
        assert!(statements[1].starts_with("CREATE TABLE IF NOT EXISTS chat.read_states ("));
    }
}
