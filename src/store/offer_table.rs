//! Where deposed owners of a keyspace put what they had not flushed, for its owner to merge.

use super::Pending;

/// Where a chunk is among all that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfferPlace {
    /// Drawn at random by who offers, anew each time: no place is ever used twice.
    pub offer: u64,
    /// Counts the chunks of the offer.
    pub chunk: u32,
}

/// A chunk that waits. What is in it is none of the table's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Where it is.
    pub place: OfferPlace,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Chunks that wait for the owner. Each is put once and removed once, and not before the owner has
/// it durably; so it may be seen more than once, by two owners even.
pub trait OfferTable: Send + Sync + 'static {
    /// Puts a chunk; it is as safe as a row of a state when this returns. It may be tried again.
    fn put(&self, place: OfferPlace, bytes: Vec<u8>) -> Pending<'_, ()>;

    /// The first chunk behind `after`, or of all.
    fn next(&self, after: Option<OfferPlace>) -> Pending<'_, Option<Offered>>;

    /// Removes a chunk, where it is there.
    fn remove(&self, place: OfferPlace) -> Pending<'_, ()>;
}
