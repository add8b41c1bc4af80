//! How many bytes may be pending: reserved, or appended and not durable yet. Bounded by memory,
//! and by the room that the disk is sure to have for them.

use tokio::sync::Notify;

use super::sync::{AtomicI64, AtomicU64, Mutex, Ordering};

/// Whether the next segment is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpareState {
    /// It can be had at once.
    Ready,
    /// It is being prepared, and nothing speaks against it.
    Preparing,
    /// The disk would not give it.
    Refused,
}

/// What the disk has for pending bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    /// What the current segment still takes, without what is kept.
    pub room_bytes: u64,
    pub spare: SpareState,
    /// Less than the reserve is free on the disk.
    pub low: bool,
}

impl Space {
    /// Waiting for the writer will not help: what it makes durable takes as much of the room as it
    /// gives back.
    fn is_full(&self, memory_bytes: i64) -> bool {
        let refused = self.spare == SpareState::Refused;
        self.low || (refused && self.limit_bytes(memory_bytes) < memory_bytes)
    }

    /// An empty segment has room for everything that memory allows: with a spare, only that counts.
    fn limit_bytes(&self, memory_bytes: i64) -> i64 {
        match self.spare {
            _ if self.low => 0,
            SpareState::Ready => memory_bytes,
            SpareState::Preparing | SpareState::Refused => {
                i64::try_from(self.room_bytes).unwrap_or(i64::MAX).min(memory_bytes)
            }
        }
    }
}

/// How a try to take bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Yes,
    /// There will be room once the writer gets on.
    NotYet,
    /// There will be none until the disk has more.
    DiskFull,
}

pub(super) struct Allowance {
    /// The limit less what is pending; below 0 where the limit was lowered under it.
    available_bytes: AtomicI64,
    memory_bytes: i64,
    /// Whoever changes the limit holds it; nobody waits or does I/O meanwhile.
    limit: Mutex<Limit>,
    /// Those who wait do so one behind the other, so that many small takers do not starve one who
    /// wants much. The first listens for `freed`.
    turn: tokio::sync::Mutex<()>,
    waiting: AtomicU64,
    freed: Notify,
}

struct Limit {
    bytes: i64,
    space: Space,
}

impl Allowance {
    pub fn new(memory_bytes: usize, space: Space) -> Self {
        let memory_bytes = i64::try_from(memory_bytes).unwrap_or(i64::MAX);
        let bytes = space.limit_bytes(memory_bytes);
        Self {
            available_bytes: AtomicI64::new(bytes),
            memory_bytes,
            limit: Mutex::new(Limit { bytes, space }),
            turn: tokio::sync::Mutex::default(),
            waiting: AtomicU64::new(0),
            freed: Notify::new(),
        }
    }

    /// Takes `bytes` where nobody waits for some already: one atomic operation and one look.
    pub fn try_take(&self, bytes: i64) -> bool {
        self.waiting.load(Ordering::SeqCst) == 0 && self.take_now(bytes)
    }

    fn take_now(&self, bytes: i64) -> bool {
        let take = |available: i64| (available >= bytes).then(|| available - bytes);
        self.available_bytes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok()
    }

    fn take_or_why_not(&self, bytes: i64) -> Taken {
        // Under the lock, so that the limit and the disk's word belong together.
        let limit = self.limit.lock();
        if self.take_now(bytes) {
            Taken::Yes
        } else if limit.space.is_full(self.memory_bytes) {
            Taken::DiskFull
        } else {
            Taken::NotYet
        }
    }

    /// Takes `bytes`, which are no more than memory allows, when it is this one's turn; `None`
    /// where `ended` says so.
    pub async fn take(&self, bytes: i64, ended: impl Fn() -> bool) -> Option<Taken> {
        let _waiting = Waiting::new(self);
        let _turn = self.turn.lock().await;
        loop {
            if ended() {
                return None;
            }
            match self.take_or_why_not(bytes) {
                // What was freed before this keeps the first in turn from sleeping here.
                Taken::NotYet => self.freed.notified().await,
                taken => return Some(taken),
            }
        }
    }

    /// Appended records count as well, from before their reservation goes.
    pub fn spend(&self, bytes: usize) {
        self.available_bytes.fetch_sub(bytes as i64, Ordering::SeqCst);
    }

    pub fn give_back(&self, bytes: i64) {
        self.available_bytes.fetch_add(bytes, Ordering::SeqCst);
        self.call();
    }

    /// `bytes` are durable and have left this much room in the segment.
    pub fn committed(&self, bytes: usize, room_bytes: u64) {
        self.change(bytes as i64, |space| space.room_bytes = room_bytes);
    }

    /// Changes what the disk is known to have.
    pub fn set_space(&self, set: impl FnOnce(&mut Space)) {
        self.change(0, set);
    }

    /// In one step, so that nobody takes by the old limit what the new one does not give.
    fn change(&self, freed_bytes: i64, set: impl FnOnce(&mut Space)) {
        let mut limit = self.limit.lock();
        set(&mut limit.space);
        let bytes = limit.space.limit_bytes(self.memory_bytes);
        let added = freed_bytes + bytes - limit.bytes;
        limit.bytes = bytes;
        self.available_bytes.fetch_add(added, Ordering::SeqCst);
        drop(limit);
        self.call();
    }

    /// Has the first of those who wait look again.
    pub fn call(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }

    /// Bytes that are pending, and the most that may be.
    pub fn pending_bytes(&self) -> (u64, u64) {
        let limit = self.limit.lock();
        let pending = limit.bytes - self.available_bytes.load(Ordering::SeqCst);
        (pending.max(0) as u64, limit.bytes.max(0) as u64)
    }
}

/// Counts one who waits.
struct Waiting<'a> {
    allowance: &'a Allowance,
}

impl<'a> Waiting<'a> {
    fn new(allowance: &'a Allowance) -> Self {
        allowance.waiting.fetch_add(1, Ordering::SeqCst);
        Self { allowance }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.allowance.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    const ROOMY: Space = Space { room_bytes: 1_000, spare: SpareState::Ready, low: false };

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn no_more_is_taken_than_memory_allows_even_where_the_disk_has_more() {
        let allowance = Allowance::new(100, ROOMY);
        assert!(allowance.try_take(60));
        assert!(!allowance.try_take(41));
        assert!(allowance.try_take(40));
        allowance.give_back(1);
        assert!(allowance.try_take(1));
        assert_eq!(allowance.pending_bytes(), (100, 100));
    }

    #[test]
    fn without_a_spare_only_the_room_of_the_segment_is_taken() {
        let preparing = Space { room_bytes: 70, spare: SpareState::Preparing, low: false };
        let allowance = Allowance::new(100, preparing);
        assert!(allowance.try_take(70));
        assert_eq!(allowance.take_or_why_not(1), Taken::NotYet);
        allowance.set_space(|space| space.spare = SpareState::Refused);
        assert_eq!(allowance.take_or_why_not(1), Taken::DiskFull);
        // Making them durable gives memory back, but no room.
        allowance.committed(70, 0);
        assert_eq!(allowance.take_or_why_not(1), Taken::DiskFull);
        allowance.set_space(|space| space.spare = SpareState::Ready);
        assert_eq!(allowance.take_or_why_not(100), Taken::Yes);
    }

    #[test]
    fn while_the_segment_has_more_room_than_memory_one_waits_for_the_writer() {
        let roomy = Space { room_bytes: 100, spare: SpareState::Refused, low: false };
        let allowance = Allowance::new(100, roomy);
        assert!(allowance.try_take(100));
        assert_eq!(allowance.take_or_why_not(1), Taken::NotYet);
        allowance.committed(100, 0);
        assert_eq!(allowance.take_or_why_not(1), Taken::DiskFull);
    }

    #[test]
    fn a_disk_that_runs_low_takes_nothing_new_and_goes_on_later() {
        let allowance = Allowance::new(100, ROOMY);
        assert!(allowance.try_take(30));
        allowance.set_space(|space| space.low = true);
        assert_eq!(allowance.take_or_why_not(1), Taken::DiskFull);
        allowance.give_back(30);
        assert_eq!(allowance.take_or_why_not(1), Taken::DiskFull);
        allowance.set_space(|space| space.low = false);
        assert_eq!(allowance.take_or_why_not(100), Taken::Yes);
    }

    #[test]
    fn one_who_wants_much_is_not_overtaken() {
        let allowance = Allowance::new(100, ROOMY);
        assert!(allowance.try_take(50));
        let mut much = pin!(allowance.take(80, || false));
        assert!(poll(much.as_mut()).is_pending());
        assert!(!allowance.try_take(10), "somebody waits");
        let mut little = pin!(allowance.take(10, || false));
        assert!(poll(little.as_mut()).is_pending());
        allowance.give_back(50);
        assert_eq!(poll(much.as_mut()), Poll::Ready(Some(Taken::Yes)));
        assert_eq!(poll(little.as_mut()), Poll::Ready(Some(Taken::Yes)));
    }

    #[test]
    fn one_who_goes_away_while_waiting_leaves_the_turn_and_nothing_else() {
        let allowance = Allowance::new(100, ROOMY);
        assert!(allowance.try_take(100));
        {
            let mut first = Box::pin(allowance.take(50, || false));
            assert!(poll(first.as_mut()).is_pending());
            allowance.give_back(100);
        }
        assert!(allowance.try_take(100), "nobody waits, and everything was given back");
    }

    #[test]
    fn who_waits_hears_of_the_end_and_of_a_full_disk() {
        let allowance = Allowance::new(100, ROOMY);
        assert!(allowance.try_take(100));
        let ended = std::cell::Cell::new(false);
        let mut first = pin!(allowance.take(50, || ended.get()));
        let mut second = pin!(allowance.take(50, || ended.get()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        allowance.set_space(|space| space.low = true);
        assert_eq!(poll(first.as_mut()), Poll::Ready(Some(Taken::DiskFull)));
        ended.set(true);
        allowance.call();
        assert_eq!(poll(second.as_mut()), Poll::Ready(None));
    }
}
