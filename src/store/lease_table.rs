//! The one row by which services on one keyspace agree whose it is: its shape, and the two calls
//! that touch it.

use crate::model::Version;

use super::Pending;

/// The row of the lease. None is ever written twice: whoever writes one raises `beat` and keeps
/// `incarnation`, or has drawn an incarnation of its own. So two equal looks at it mean that
/// nothing was written in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// What the owner calls itself, for people; empty once it has let go.
    pub owner: String,
    /// Drawn at random by each process: what tells owners apart, also two of one name.
    pub incarnation: u64,
    /// Rises with every write of one incarnation.
    pub beat: u64,
    /// Rises with every change of the owner.
    pub epoch: u64,
    /// No owner until now has given out a version above it.
    pub ceiling: Version,
}

impl LeaseRow {
    /// Whether its owner has let go of it.
    pub fn is_released(&self) -> bool {
        self.owner.is_empty()
    }
}

/// How a swap ended, where that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The row is the new one.
    Done,
    /// Nothing was written: this is the row instead.
    Differs(Option<LeaseRow>),
}

/// Where the row is. It is touched by these two calls and by nothing else: a plain write, or one
/// with a timestamp or a time to live, would not be in order with them.
///
/// Both are linearizable with each other, at one and the same serial consistency for everyone.
pub trait LeaseTable: Send + Sync + 'static {
    /// The row, by a serial read: it settles the transactions that it finds under way, so that
    /// each is either seen by it or, in that very attempt, will never be.
    fn read(&self) -> Pending<'_, Option<LeaseRow>>;

    /// Writes `new` where the row is exactly `seen` in every field, and absent where that is
    /// `None`. It is not to be tried again in secret.
    ///
    /// After an error, or where the future is dropped, the outcome is *unknown*: it may be done
    /// now or later, for as long as the row is `seen`. Only the row tells.
    fn swap(&self, seen: Option<LeaseRow>, new: LeaseRow) -> Pending<'_, Swap>;
}

/// A row that nobody else writes, for tests.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct OneRow(parking_lot::Mutex<Option<LeaseRow>>);

#[cfg(test)]
impl LeaseTable for OneRow {
    fn read(&self) -> Pending<'_, Option<LeaseRow>> {
        Box::pin(std::future::ready(Ok(self.0.lock().clone())))
    }

    fn swap(&self, _: Option<LeaseRow>, new: LeaseRow) -> Pending<'_, Swap> {
        *self.0.lock() = Some(new);
        Box::pin(std::future::ready(Ok(Swap::Done)))
    }
}
