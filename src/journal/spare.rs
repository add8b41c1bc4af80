//! The next segment, prepared ahead: on a thread of its own, or by the writer where there is none.
//! Also watches what is left of the disk.

use std::time::Duration;

use tracing::{info, warn};

use super::{
    Disk, JournalError, Spare,
    allowance::{Allowance, SpareState},
    limits::Limits,
    shared::Shared,
    sync::{Condvar, Mutex},
};

/// How often the disk is looked at, and a spare tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The place of the spare segment.
#[derive(Default)]
pub(super) struct Spares {
    state: Mutex<State>,
    taken: Condvar,
}

#[derive(Default)]
struct State {
    spare: Option<Spare>,
    /// It was taken and still has its name: making another would empty its file.
    leaving: bool,
    /// A thread looks after it.
    threaded: bool,
    stop: bool,
    /// Why the disk takes nothing new, where it does not.
    refusal: Option<String>,
}

impl State {
    fn is_wanted(&self) -> bool {
        self.spare.is_none() && !self.leaving
    }
}

/// What a look at the disk found.
struct Look {
    low: bool,
    spare: Option<Spare>,
    refusal: Option<String>,
}

impl Spares {
    pub fn is_ready(&self) -> bool {
        self.state.lock().spare.is_some()
    }

    /// Takes the spare, to become the current segment with room for `room_bytes`. Once it has its
    /// place there, say [`Self::left`].
    pub fn take(&self, allowance: &Allowance, room_bytes: u64) -> Option<Spare> {
        let mut state = self.state.lock();
        let taken = state.spare.take()?;
        let spare =
            if state.refusal.is_some() { SpareState::Refused } else { SpareState::Preparing };
        allowance.set_space(|space| (space.spare, space.room_bytes) = (spare, room_bytes));
        state.leaving = true;
        Some(taken)
    }

    /// The spare that was taken has its own name: there is a place for another.
    pub fn left(&self) {
        self.state.lock().leaving = false;
        self.taken.notify_one();
    }

    /// From now on a thread will [`Self::run`], and nobody else tends.
    pub fn leave_to_thread(&self) {
        self.state.lock().threaded = true;
    }

    /// Why the disk takes nothing new.
    pub fn refusal(&self) -> Option<String> {
        self.state.lock().refusal.clone()
    }

    /// Looks at the disk and prepares a spare where there is none; nothing where a thread does so.
    pub fn tend_unthreaded(&self, shared: &Shared) {
        if !self.state.lock().threaded {
            self.tend(shared);
        }
    }

    /// Looks after the spare until [`Self::stop`].
    pub fn run(&self, shared: &Shared) {
        loop {
            self.tend(shared);
            let mut state = self.state.lock();
            // Not where it was taken already, since the look.
            if !state.stop && (!state.is_wanted() || state.refusal.is_some()) {
                self.taken.wait_for(&mut state, LOOK_EVERY);
            }
            if state.stop || shared.durable.is_ended() {
                return;
            }
        }
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.state.lock().stop = true;
        self.taken.notify_one();
    }

    /// Removes the spare: the journal is closed and will have another when it is opened.
    pub fn discard(&self, disk: &dyn Disk) -> Result<(), JournalError> {
        drop(self.state.lock().spare.take());
        Spare::discard(disk)
    }

    fn tend(&self, shared: &Shared) {
        if shared.durable.is_ended() {
            return;
        }
        // Only this puts a spare there, so none can come up meanwhile.
        let wanted = self.state.lock().is_wanted();
        let look = look(shared.disk.as_ref(), &shared.limits, wanted);
        let (low, fresh) = (look.low, look.spare.is_some());
        let mut state = self.state.lock();
        let before = state.refusal.is_some();
        state.spare = look.spare.or(state.spare.take());
        let spare = match (&state.spare, &look.refusal) {
            (Some(_), _) => SpareState::Ready,
            (None, Some(_)) => SpareState::Refused,
            (None, None) => SpareState::Preparing,
        };
        tell(before, look.refusal.as_deref(), shared.disk.as_ref());
        state.refusal = look.refusal;
        // Under the lock, so that no taker comes between what is there and what is said of it.
        shared.allowance.set_space(|space| (space.spare, space.low) = (spare, low));
        drop(state);
        if fresh {
            // The writer may have stopped for want of it.
            shared.bell.ring();
        }
    }
}

fn look(disk: &dyn Disk, limits: &Limits, wanted: bool) -> Look {
    let reserve = limits.reserve_bytes;
    // A disk that does not say how much is free is taken to have enough: writing will tell.
    let free = disk.free_bytes().unwrap_or(u64::MAX);
    let needed = if wanted { reserve.saturating_add(limits.segment_bytes) } else { reserve };
    if free < needed {
        let refusal = format!("{free} bytes are free, and {needed} are needed");
        return Look { low: free < reserve, spare: None, refusal: Some(refusal) };
    }
    if !wanted {
        return Look { low: false, spare: None, refusal: None };
    }
    match Spare::prepare(disk, limits.segment_bytes) {
        Ok(spare) => Look { low: false, spare: Some(spare), refusal: None },
        Err(error) => {
            if let Err(error) = Spare::discard(disk) {
                warn!(%error, "an unfinished segment stays on the disk for now");
            }
            Look { low: false, spare: None, refusal: Some(error.to_string()) }
        }
    }
}

fn tell(before: bool, refusal: Option<&str>, disk: &dyn Disk) {
    let folder = disk.path();
    match refusal {
        Some(refusal) if !before => {
            warn!(folder, refusal, "the journal finds no room and will take nothing new");
        }
        None if before => info!(folder, "the journal has room again"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::store::CommitNumber;
    use crate::{
        journal::{DiskCall, JournalOptions, Recovery, SimulatedDisk},
        store::StoreIdentity,
    };

    /// Making another would empty the file that is about to become the current segment.
    #[test]
    fn no_spare_is_made_while_one_that_was_taken_still_has_its_name() {
        let disk = SimulatedDisk::default();
        let options = JournalOptions { reserve_bytes: 0, ..JournalOptions::default() };
        let options = JournalOptions { segment_bytes: 0, ..options };
        let mut recovery = Recovery::open(Arc::new(disk.clone()), options).expect("a new journal");
        let store = StoreIdentity { id: 1, commits: CommitNumber(0), upto: None };
        recovery.check_store(store).expect("any store will do");
        let (_journal, writer) = recovery.begin().expect("it begins");
        let shared = writer.shared();
        let made = || {
            shared.spares.tend(shared);
            disk.faults().calls(DiskCall::Create)
        };
        let first = made();
        assert!(shared.spares.is_ready());
        assert_eq!(made(), first, "one is enough");
        shared.spares.take(&shared.allowance, 0).expect("it is there");
        assert_eq!(made(), first);
        assert!(!shared.spares.is_ready());
        shared.spares.left();
        assert_eq!(made(), first + 1);
        assert!(shared.spares.is_ready());
    }
}
