//! Everything that changes the cluster. Each write carries the version as its timestamp, so writes
//! may be repeated and may arrive in any order: the newest version stays.

use std::collections::BTreeMap;

use super::{
    Books,
    columns::{Insert, kind_column},
    number::{timestamp, varint},
    requests::Requests,
    tombstones,
};
use crate::{
    model::{Key, UserId, Version},
    store::{Batch, CommitReport, Row, StoreError},
};
use futures_util::{StreamExt as _, stream};

/// Rows of one user that go out together at most. They are of one partition, so they are written
/// and seen as a whole.
const BATCH_ROWS_MAX: usize = 100;
/// Bytes of such a batch at most, about: a cluster refuses batches above 50 KiB.
pub(super) const BATCH_BYTES_MAX: usize = 24 * 1024;

/// Writes rows, those of a user together as far as a batch goes. Where some could not be written,
/// or nobody knows, the report names them; where none was, it is an error.
pub(super) async fn commit(
    requests: &Requests,
    books: &Books,
    batch: Batch,
) -> Result<CommitReport, StoreError> {
    tombstones::note(requests, &batch.rows).await?;
    let mut failed = Vec::new();
    let mut why = None;
    let rows = batch.rows.len();
    let parts = stream::iter(parts(batch.rows)).map(|part| write(requests, part));
    let mut written = parts.buffer_unordered(requests.options.requests_max.max(1));
    while let Some((keys, result)) = written.next().await {
        if let Err(error) = result {
            failed.extend(keys);
            why = Some(error);
        }
    }
    match why {
        Some(error) if failed.len() == rows => Err(error),
        Some(error) => {
            tracing::warn!(%error, rows = failed.len(), "rows were not written, or nobody knows");
            Ok(CommitReport { failed })
        }
        None => {
            books.count(requests, batch.upto.unwrap_or_default()).await?;
            Ok(CommitReport::default())
        }
    }
}

struct Part {
    keys: Vec<Key>,
    inserts: Vec<Insert>,
    bytes: usize,
}

impl Part {
    fn has_room_for(&self, insert: &Insert) -> bool {
        self.inserts.len() < BATCH_ROWS_MAX && self.bytes + insert.bytes() <= BATCH_BYTES_MAX
    }
}

/// The rows by user, in parts that a batch may have.
fn parts(rows: Vec<Row>) -> Vec<Part> {
    let mut users: BTreeMap<UserId, Vec<Part>> = BTreeMap::new();
    for row in rows {
        let (key, insert) = (row.key, Insert::from(row));
        let parts = users.entry(key.user).or_default();
        if !parts.last().is_some_and(|part| part.has_room_for(&insert)) {
            parts.push(Part { keys: Vec::new(), inserts: Vec::new(), bytes: 0 });
        }
        let Some(part) = parts.last_mut() else { continue };
        part.bytes += insert.bytes();
        part.keys.push(key);
        part.inserts.push(insert);
    }
    users.into_values().flatten().collect()
}

async fn write(requests: &Requests, part: Part) -> (Vec<Key>, Result<(), StoreError>) {
    let insert = &requests.statements.insert;
    let result = match &part.inserts[..] {
        [single] => requests.write(insert, single).await,
        several => {
            let statements = several.iter().map(|_| insert.clone().into()).collect();
            requests.write_together(statements, insert, &part.inserts).await
        }
    };
    (part.keys, result)
}

/// Removes the rows of `user` up to `version` and leaves the mark of it, both at once: they are of
/// one partition. The mark is one microsecond younger than what it deletes, or it would go too.
pub(super) async fn delete_user(
    requests: &Requests,
    user: UserId,
    version: Version,
) -> Result<(), StoreError> {
    tombstones::note_mark(requests, user, version).await?;
    let (at, user) = (timestamp(version.as_micros()), varint(user.as_u64()));
    let statements = &requests.statements;
    let both = vec![statements.delete_user.clone().into(), statements.mark.clone().into()];
    let mark = (at.saturating_add(1), version.as_micros().cast_signed(), &user);
    requests.write_together(both, &statements.mark, ((at, &user), mark)).await
}

/// Takes away a mark that has not been replaced since.
pub(super) async fn delete_mark(
    requests: &Requests,
    user: UserId,
    version: Version,
) -> Result<(), StoreError> {
    let at = timestamp(version.as_micros()).saturating_add(1);
    let statement = &requests.statements.delete_mark;
    requests.write(statement, (at, varint(user.as_u64()))).await
}

/// Takes away a row that has not been replaced since.
pub(super) async fn delete_row(
    requests: &Requests,
    key: &Key,
    version: Version,
) -> Result<(), StoreError> {
    let at = timestamp(version.as_micros());
    let (user, channel) = (varint(key.user.as_u64()), varint(key.channel.as_u64()));
    let statement = &requests.statements.delete_row;
    requests.write(statement, (at, user, kind_column(key.kind), channel)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChannelId, Kind, Parts, ReadState};

    fn row(user: u64, channel: u64, mentions: u64) -> Row {
        let key = Key {
            user: UserId::new(user).expect("not 0"),
            kind: Kind::Channel,
            channel: ChannelId::new(channel).expect("not 0"),
        };
        let counted = (1..=mentions).collect();
        let parts = Parts { version: Version::from_micros(1), counted, ..Parts::default() };
        Row { key, state: ReadState::from_parts(parts).expect("parts of a state") }
    }

    #[test]
    fn parts_are_of_one_user_and_bounded_by_rows_and_bytes() {
        let small = (1..=250).map(|channel| row(1, channel, 0));
        let large = (1..=40).map(|channel| row(2, channel, 128));
        let parts = parts(small.chain(large).collect());
        for part in &parts {
            assert!(part.keys.windows(2).all(|pair| pair[0].user == pair[1].user));
            assert!(part.bytes <= BATCH_BYTES_MAX && part.inserts.len() <= BATCH_ROWS_MAX);
        }
        assert_eq!(parts.iter().map(|part| part.keys.len()).sum::<usize>(), 290);
        let of = |user| parts.iter().filter(|part| part.keys[0].user.as_u64() == user).count();
        assert_eq!((of(1), of(2)), (3, 4));
    }
}
