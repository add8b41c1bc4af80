//! Deletions in the order in which they expire: by the hour of their version, each of which is a
//! partition.
//!
//! An entry is written before what it is of, and may outlive it: expiry looks whether what it names
//! is still there as it was. Entries carry their version as write timestamp, and so do the range
//! tombstones that take them away, so a repeated write brings none back. That has a price: an entry
//! that is written for the first time once an expiry has gone beyond its version is not seen, and
//! what it is of stays. It is of a deletion that was not flushed for as long as tombstones are
//! kept.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::value::CqlVarint;

use super::{
    books::Books,
    columns::{key_of, kind_column, version_of_column},
    number::{number, timestamp, varint},
    reader,
    requests::Requests,
    writer,
};
use crate::{
    model::{Key, UserId, Version},
    store::{Row, StoreError},
};

const HOUR_US: u64 = 3_600_000_000;
/// Entries that one step of an expiry looks at.
const CHUNK: i32 = 1_000;
/// The type of an entry that is of a user's mark; its channel is 0.
const MARK: i8 = 0;

/// What an entry is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Row(Key),
    Mark(UserId),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    version: Version,
    what: What,
}

fn hour(version: Version) -> i64 {
    (version.as_micros() / HOUR_US).cast_signed()
}

/// Notes those of `rows` that are tombstones.
pub(super) async fn note(requests: &Requests, rows: &[Row]) -> Result<(), StoreError> {
    let mut entries = Vec::new();
    for Row { key, state } in rows.iter().filter(|row| row.state.is_deleted()) {
        entries.push(Entry { version: state.version(), what: What::Row(*key) });
    }
    let noted = stream::iter(entries).map(|entry| put(requests, entry));
    noted.buffer_unordered(requests.options.requests_max.max(1)).try_collect().await
}

/// Notes that `user` was deleted as a whole.
pub(super) async fn note_mark(
    requests: &Requests,
    user: UserId,
    version: Version,
) -> Result<(), StoreError> {
    put(requests, Entry { version, what: What::Mark(user) }).await
}

async fn put(requests: &Requests, entry: Entry) -> Result<(), StoreError> {
    let version = entry.version.as_micros();
    let (user, kind, channel) = columns(entry.what);
    let values =
        (hour(entry.version), version.cast_signed(), user, kind, channel, timestamp(version));
    requests.write(&requests.statements.insert_tombstone, values).await
}

fn columns(what: What) -> (CqlVarint, i8, CqlVarint) {
    match what {
        What::Row(Key { user, kind, channel }) => {
            (varint(user.as_u64()), kind_column(kind), varint(channel.as_u64()))
        }
        What::Mark(user) => (varint(user.as_u64()), MARK, varint(0)),
    }
}

/// Takes away up to `limit` rows and marks that are older than `before` and as they were noted.
/// The books tell of it before the first one goes.
pub(super) async fn expire(
    requests: &Requests,
    before: Version,
    limit: usize,
    books: &Books,
) -> Result<usize, StoreError> {
    let mut removed = 0;
    for hour in hours(requests, before).await? {
        while removed < limit {
            let entries = entries(requests, hour, before).await?;
            let Some(last) = entries.last() else { break };
            let mut taken = Vec::new();
            for entry in &entries {
                if is_current(requests, entry).await? {
                    if removed + taken.len() == limit {
                        break;
                    }
                    taken.push(*entry);
                }
            }
            let done = removed + taken.len() < limit;
            if !taken.is_empty() {
                books.forget_before(requests, before).await?;
            }
            for entry in &taken {
                remove(requests, entry).await?;
            }
            removed += taken.len();
            if done {
                forget(requests, hour, last, &entries).await?;
            }
        }
    }
    Ok(removed)
}

async fn hours(requests: &Requests, before: Version) -> Result<Vec<i64>, StoreError> {
    let hours = requests.read::<(i64,)>(&requests.statements.select_hours, ()).await?;
    let bound = before.as_micros() / HOUR_US;
    let mut hours: Vec<i64> = hours.into_iter().map(|(hour,)| hour).collect();
    hours.retain(|hour| hour.cast_unsigned() <= bound);
    hours.sort_unstable();
    Ok(hours)
}

async fn entries(
    requests: &Requests,
    hour: i64,
    before: Version,
) -> Result<Vec<Entry>, StoreError> {
    let bound = timestamp(before.as_micros());
    let select = &requests.statements.select_tombstones;
    let found = requests.read::<(i64, CqlVarint, i8, CqlVarint)>(select, (hour, bound, CHUNK));
    let entry = |(version, user, kind, channel): (i64, CqlVarint, i8, CqlVarint)| {
        let user_id = || number(&user).and_then(UserId::new);
        let what = match user_id() {
            Some(user) if kind == MARK => What::Mark(user),
            _ => What::Row(key_of(&user, kind, &channel)?),
        };
        Ok(Entry { version: version_of_column(version), what })
    };
    found.await?.into_iter().map(entry).collect()
}

/// Whether what it is of has not been replaced, or taken away, since.
async fn is_current(requests: &Requests, entry: &Entry) -> Result<bool, StoreError> {
    Ok(match entry.what {
        What::Mark(user) => reader::mark(requests, user).await? == Some(entry.version),
        What::Row(key) => reader::load(requests, &key)
            .await?
            .is_some_and(|state| state.is_deleted() && state.version() == entry.version),
    })
}

async fn remove(requests: &Requests, entry: &Entry) -> Result<(), StoreError> {
    match entry.what {
        What::Mark(user) => writer::delete_mark(requests, user, entry.version).await,
        What::Row(key) => writer::delete_row(requests, &key, entry.version).await,
    }
}

/// Takes away the entries of an hour up to `last`: all older ones by one range, as there may be
/// many, and each of those of its version alone, as there may be more behind it.
async fn forget(
    requests: &Requests,
    hour: i64,
    last: &Entry,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let version = last.version.as_micros();
    let (at, column) = (timestamp(version), version.cast_signed());
    requests.write(&requests.statements.delete_tombstones_below, (at, hour, column)).await?;
    for entry in entries.iter().filter(|entry| entry.version == last.version) {
        let (user, kind, channel) = columns(entry.what);
        let values = (at, hour, column, user, kind, channel);
        requests.write(&requests.statements.delete_tombstone, values).await?;
    }
    Ok(())
}
