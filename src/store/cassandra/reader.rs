//! Everything that is read of states.

use std::collections::{BTreeMap, HashMap};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use scylla::value::CqlVarint;

use super::{
    columns::{Selected, kind_column, version_of_column},
    number::varint,
    requests::Requests,
    roll::Roll,
};
use crate::{
    model::{Key, Kind, ReadState, UserId, Version},
    store::{Row, StoreError, UserPage, user_bounds::user_bounds},
};

/// Keys of one user and type that are asked for together.
const KEYS_PER_REQUEST_MAX: usize = 100;

/// Users whose rows are asked for at once in a walk.
const USERS_PER_STEP: usize = 32;

/// The state of a key.
pub(super) async fn load(requests: &Requests, key: &Key) -> Result<Option<ReadState>, StoreError> {
    let values = (varint(key.user.as_u64()), kind_column(key.kind), varint(key.channel.as_u64()));
    let found = requests.states(&requests.statements.select, values, 1).await?;
    Ok(rows(found)?.pop().map(|row| row.state))
}

/// The states of keys, in their order: those of a user with few requests.
pub(super) async fn load_many(
    requests: &Requests,
    keys: &[Key],
) -> Result<Vec<Option<ReadState>>, StoreError> {
    let mut groups: BTreeMap<(UserId, Kind), Vec<Key>> = BTreeMap::new();
    for key in keys {
        groups.entry((key.user, key.kind)).or_default().push(*key);
    }
    let parts = groups.values().flat_map(|keys| keys.chunks(KEYS_PER_REQUEST_MAX));
    let parts: Vec<Vec<Key>> = parts.map(<[Key]>::to_vec).collect();
    let asked = stream::iter(parts).map(|part| load_part(requests, part));
    let asked = asked.buffer_unordered(requests.options.requests_max.max(1));
    let found: Vec<Vec<Row>> = asked.try_collect().await?;
    let found: HashMap<Key, ReadState> =
        found.into_iter().flatten().map(|row| (row.key, row.state)).collect();
    Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
}

/// Keys of one user and type.
async fn load_part(requests: &Requests, keys: Vec<Key>) -> Result<Vec<Row>, StoreError> {
    let Some(Key { user, kind, .. }) = keys.first() else { return Ok(Vec::new()) };
    let channels: Vec<CqlVarint> = keys.iter().map(|key| varint(key.channel.as_u64())).collect();
    let values = (varint(user.as_u64()), kind_column(*kind), channels);
    rows(requests.states(&requests.statements.select_in, values, usize::MAX).await?)
}

/// When a user was last deleted as a whole.
pub(super) async fn mark(requests: &Requests, user: UserId) -> Result<Option<Version>, StoreError> {
    let select = &requests.statements.select_mark;
    let found = requests.read::<(CqlVarint, Option<i64>)>(select, (varint(user.as_u64()),));
    Ok(found.await?.pop().and_then(|(_, at)| at).map(version_of_column))
}

/// Part of the states of a user.
pub(super) async fn load_user(
    requests: &Requests,
    user: UserId,
    after: Option<Key>,
    limit: usize,
) -> Result<UserPage, StoreError> {
    let (first, last) = user_bounds(user);
    let column = varint(user.as_u64());
    let most = i32::try_from(limit).unwrap_or(i32::MAX).max(1);
    let statements = &requests.statements;
    let found = match after {
        Some(after) if after >= last => Vec::new(),
        Some(after) if after >= first => {
            let values = (column, kind_column(after.kind), varint(after.channel.as_u64()), most);
            requests.states(&statements.select_user_after, values, limit).await?
        }
        _ => requests.states(&statements.select_user, (column, most), limit).await?,
    };
    // Where rows are found they bring the mark of the same moment. Where none are, it is asked for
    // after them: a deletion in between is told, though its rows were seen; that does no harm.
    let deleted_at = match found.first() {
        Some(found) => found.deleted_at(),
        None => mark(requests, user).await?,
    };
    let mut rows = rows(found)?;
    rows.truncate(limit);
    Ok(UserPage { rows, deleted_at, ..UserPage::default() })
}

/// Part of all states, in key order.
pub(super) async fn scan(
    requests: &Requests,
    roll: &Roll,
    after: Option<Key>,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    let mut found = match after {
        Some(after) => load_user(requests, after.user, Some(after), limit).await?.rows,
        None => Vec::new(),
    };
    let mut last = after.map(|after| after.user);
    while found.len() < limit {
        let users = roll.next(requests, last, USERS_PER_STEP).await?;
        let Some(end) = users.last() else { break };
        last = Some(*end);
        let left = limit - found.len();
        let asked = users.into_iter().map(|user| load_user(requests, user, None, left));
        let asked: Vec<_> = asked.collect();
        let mut pages = stream::iter(asked).buffered(requests.options.requests_max.max(1));
        while let Some(page) = pages.next().await {
            found.extend(page?.rows);
        }
    }
    found.truncate(limit);
    Ok(found)
}

fn rows(found: Vec<Selected>) -> Result<Vec<Row>, StoreError> {
    found.into_iter().map(Selected::row).collect()
}
