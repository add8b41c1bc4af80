//! A swap of which something is known when it ends: where the database did not say how it ended,
//! the row is read.

use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use crate::{
    metrics::LeaseMetrics,
    store::{LeaseRow, LeaseTable, Pending, StoreError, Swap},
};

/// How long one call of the database may take. A renewal whose answer is lost costs a second until
/// it is due, this, and the read; after that there is time for another before the lease lapses.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

/// What is known after a swap.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The row was the new one.
    Done,
    /// The row was still the one seen. See [`Calls::swap`]: it is not a promise.
    NotYet,
    /// It was neither.
    Other(Option<LeaseRow>),
}

/// The calls of the table, each with an end.
pub(super) struct Calls<'a> {
    pub table: &'a dyn LeaseTable,
    pub metrics: &'a LeaseMetrics,
}

impl Calls<'_> {
    pub async fn read(&self) -> Result<Option<LeaseRow>, StoreError> {
        answer(self.table.read()).await
    }

    /// Swaps, and reads the row where the outcome is unknown; the error is that of the read.
    ///
    /// # What a row proves
    ///
    /// A swap that ends with an error, or not at all, may have been done, may be done later, or may
    /// never be. The serial read runs a round of Paxos of its own. It completes the proposal if it
    /// meets it, and else puts a later ballot before a majority, which will not accept the earlier
    /// one any more (Cassandra since CASSANDRA-12126, Scylla since its issue 6299). So the row
    /// read back decides:
    ///
    /// - It is `new`: done. Rows never repeat, and no one else would write this one.
    /// - It is `seen`: that proposal is dead. But it is not *impossible* that the swap is done
    ///   later: the node that coordinates it may be at work yet and, outvoted, propose anew; so
    ///   might an older database that replays what its read did not meet. So nothing may rest on
    ///   its not being done, and nothing does. It can only ever turn `seen` into `new`: as soon as
    ///   anything else is written after `seen`, be it our next try or another's, it never will be.
    ///   And should it come before our next try, that one finds a row of ours, and goes on from it.
    /// - It is another row: if it is of our own, an earlier swap was done late, as above. If not,
    ///   somebody else has written after `seen`, be it after `new` or in its place: all the same
    ///   to us.
    ///
    /// An answer that it `Differs` is read in the same way: a swap that another's round has
    /// completed may be told that it came too late for itself.
    pub async fn swap(
        &self,
        seen: &Option<LeaseRow>,
        new: &LeaseRow,
    ) -> Result<Settled, StoreError> {
        let row = match answer(self.table.swap(seen.clone(), new.clone())).await {
            Ok(Swap::Done) => return Ok(Settled::Done),
            Ok(Swap::Differs(row)) => row,
            Err(error) => {
                debug!(%error, "a transaction on the lease has an unknown outcome");
                self.metrics.unknown();
                self.read().await?
            }
        };
        Ok(if row.as_ref() == Some(new) {
            Settled::Done
        } else if row == *seen {
            Settled::NotYet
        } else {
            Settled::Other(row)
        })
    }
}

async fn answer<T>(call: Pending<'_, T>) -> Result<T, StoreError> {
    timeout(ANSWER_WITHIN, call).await.unwrap_or_else(|_| {
        let late = format!("no answer within {} ms", ANSWER_WITHIN.as_millis());
        Err(StoreError::Unavailable(late))
    })
}
