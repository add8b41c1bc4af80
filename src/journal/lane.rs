//! Those of one runtime who wait for a sequence, and the bell of the herald that wakes them.
//!
//! Waking a task from another runtime's thread costs a lock and often a system call. So the writer
//! rings one herald per runtime and commit, and the herald wakes its neighbours from inside.

use std::{collections::BTreeMap, mem, task::Waker};

use tokio::sync::Notify;

use crate::model::Sequence;

use super::sync::{AtomicU64, Mutex, Ordering};

/// A waiter's place in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    sequence: Sequence,
    ticket: u64,
}

#[derive(Default)]
pub(super) struct Lane {
    /// Locked to insert, to remove, and to take out who is due; never while waking.
    waiters: Mutex<BTreeMap<Place, Waker>>,
    /// How many `waiters` are; written under their lock.
    waiting: AtomicU64,
    /// Everyone who was here before and waits for this sequence or an earlier one was taken out.
    taken: AtomicU64,
    tickets: AtomicU64,
    /// Heralds that serve the lane: more than one where runtimes share it.
    heralds: AtomicU64,
    bell: Notify,
}

impl Lane {
    /// A place for one who will wait for `sequence`.
    pub fn place(&self, sequence: Sequence) -> Place {
        Place { sequence, ticket: self.tickets.fetch_add(1, Ordering::Relaxed) }
    }

    /// Has `waker` woken once the place is due. The caller looks once more afterwards: who became
    /// due before this is not seen by those who take out.
    pub fn insert(&self, place: Place, waker: Waker) {
        let mut waiters = self.waiters.lock();
        let replaced = waiters.insert(place, waker);
        self.waiting.store(waiters.len() as u64, Ordering::SeqCst);
        drop(waiters);
        drop(replaced);
    }

    /// Gives a place back whose waiter went away.
    pub fn remove(&self, place: Place) {
        // One who looked again after inserting was not due then: whoever took out up to there
        // since then took it out too.
        if self.taken.load(Ordering::SeqCst) >= place.sequence.as_u64() {
            return;
        }
        self.remove_now(place);
    }

    /// As [`Self::remove`], for one who was due when it looked again.
    pub fn remove_now(&self, place: Place) {
        let mut waiters = self.waiters.lock();
        let removed = waiters.remove(&place);
        self.waiting.store(waiters.len() as u64, Ordering::SeqCst);
        drop(waiters);
        drop(removed);
    }

    /// Sees to it that everyone due at `durable`, which was published before, is woken.
    pub fn publish(&self, durable: Sequence) {
        // One who inserts after this load looks again after that, and sees what was published.
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return;
        }
        if self.heralds.load(Ordering::SeqCst) > 0 {
            self.bell.notify_one();
        } else {
            self.wake_due(durable);
        }
    }

    /// Wakes everyone who waits for `durable` or an earlier sequence.
    pub fn wake_due(&self, durable: Sequence) {
        let after = Place { sequence: durable.next(), ticket: 0 };
        let mut waiters = self.waiters.lock();
        let later = waiters.split_off(&after);
        let due = mem::replace(&mut *waiters, later);
        self.waiting.store(waiters.len() as u64, Ordering::SeqCst);
        self.taken.fetch_max(durable.as_u64(), Ordering::SeqCst);
        drop(waiters);
        due.into_values().for_each(Waker::wake);
    }

    /// Wakes everyone, due or not; who is not comes back.
    pub fn wake_all(&self) {
        let mut waiters = self.waiters.lock();
        let all = mem::take(&mut *waiters);
        self.waiting.store(0, Ordering::SeqCst);
        drop(waiters);
        all.into_values().for_each(Waker::wake);
        self.bell.notify_one();
    }

    /// Waits until something was published for this lane.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Takes up the post of herald.
    pub fn serve(&self) -> Post<'_> {
        self.heralds.fetch_add(1, Ordering::SeqCst);
        Post { lane: self }
    }

    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.waiters.lock().len()
    }
}

/// A herald at its post. Once it leaves, nobody relies on it.
pub(super) struct Post<'a> {
    lane: &'a Lane,
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        self.lane.heralds.fetch_sub(1, Ordering::SeqCst);
        // It may have been rung and not have come to wake anyone. Who inserts after this looks
        // again after that, and sees what had been published before the bell was rung.
        self.lane.wake_all();
    }
}
