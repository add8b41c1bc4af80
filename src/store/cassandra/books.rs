//! The one row that tells which store this is and how much was written to it.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::{
    columns::version_of_column,
    failure::{invalid, unavailable},
    number::timestamp,
    requests::Requests,
    schema::FORMAT,
};
use crate::{
    model::{Sequence, Version},
    store::{CommitNumber, StoreError, StoreIdentity},
};

/// Commits that an owner may make before its numbers run into those of the next one, as a power
/// of 2: a thousand a second for 34 years.
const COMMITS_OF_EPOCH_BITS: u32 = 40;

type MetaColumns = (Option<i32>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

/// What the row says, as far as this process is the only one that writes to it.
pub(super) struct Books {
    id: u64,
    written: Mutex<Written>,
    expired_before_us: AtomicU64,
}

/// What was counted. Asked for and confirmed may differ after a write of unknown outcome: its
/// number is not used again.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    asked: u64,
    confirmed: CommitNumber,
    upto: Option<Sequence>,
}

impl Books {
    pub(super) async fn open(requests: &Requests, epoch: u64) -> Result<Self, StoreError> {
        let (format, id, commits, upto, _, expired) = meta(requests).await?;
        match format {
            Some(FORMAT) => {}
            Some(newer) if newer > FORMAT => {
                let words = format!("it has format {newer}, and {FORMAT} is the newest known here");
                return Err(StoreError::NewerFormat(words));
            }
            _ => return Err(unmade()),
        }
        let confirmed = commits.unwrap_or_default().cast_unsigned();
        // What an owner of before still has under way is counted below. What is confirmed is only
        // what the row says: that is how a cluster that lost writes is told (I11).
        let asked = confirmed.max(epoch << COMMITS_OF_EPOCH_BITS);
        let upto = Sequence::new(upto.unwrap_or_default().cast_unsigned());
        Ok(Self {
            id: id.ok_or_else(unmade)?.cast_unsigned(),
            written: Mutex::new(Written {
                asked,
                confirmed: CommitNumber(confirmed),
                upto: Some(upto).filter(|upto| *upto != Sequence::ZERO),
            }),
            expired_before_us: AtomicU64::new(expired.unwrap_or_default().cast_unsigned()),
        })
    }

    pub(super) async fn identity(&self) -> StoreIdentity {
        let written = self.written.lock().await;
        StoreIdentity { id: self.id, commits: written.confirmed, upto: written.upto }
    }

    /// Counts one more write; `upto` is 0 where it is not of the journal.
    pub(super) async fn count(
        &self,
        requests: &Requests,
        upto: Sequence,
    ) -> Result<(), StoreError> {
        // Held over the request, so that the newest number is the last one that goes out.
        let mut written = self.written.lock().await;
        written.asked += 1;
        let number = written.asked.cast_signed();
        let values = (number, number, upto.as_u64().cast_signed());
        requests.write(&requests.statements.count_commit, values).await?;
        written.confirmed = CommitNumber(written.asked);
        written.upto = Some(upto).filter(|upto| *upto != Sequence::ZERO);
        Ok(())
    }

    pub(super) async fn commits(&self) -> CommitNumber {
        self.written.lock().await.confirmed
    }

    pub(super) fn expired_before(&self) -> Version {
        Version::from_micros(self.expired_before_us.load(Ordering::Acquire))
    }

    /// Raises what no delta is trusted from before, in the cluster first.
    pub(super) async fn forget_before(
        &self,
        requests: &Requests,
        version: Version,
    ) -> Result<(), StoreError> {
        if version <= self.expired_before() {
            return Ok(());
        }
        raise(requests, &requests.statements.raise_expired, version).await?;
        self.expired_before_us.fetch_max(version.as_micros(), Ordering::AcqRel);
        Ok(())
    }
}

/// The ceiling of versions, for a store without a lease.
pub(super) async fn clock_ceiling(requests: &Requests) -> Result<Version, StoreError> {
    let (.., ceiling, _) = meta(requests).await?;
    Ok(ceiling.map(version_of_column).unwrap_or_default())
}

/// Raises it; its own number is its write timestamp, so that a lower one never wins.
pub(super) async fn raise_ceiling(requests: &Requests, ceiling: Version) -> Result<(), StoreError> {
    raise(requests, &requests.statements.raise_ceiling, ceiling).await
}

async fn raise(
    requests: &Requests,
    statement: &scylla::statement::prepared::PreparedStatement,
    version: Version,
) -> Result<(), StoreError> {
    let micros = version.as_micros();
    requests.write(statement, (timestamp(micros), micros.cast_signed())).await
}

async fn meta(requests: &Requests) -> Result<MetaColumns, StoreError> {
    let found = requests.read::<MetaColumns>(&requests.statements.select_meta, ()).await;
    found.map_err(unavailable)?.pop().ok_or_else(unmade)
}

fn unmade() -> StoreError {
    let words = "its schema was not made to the end; run `readstates schema apply` again";
    invalid(words.to_owned())
}
