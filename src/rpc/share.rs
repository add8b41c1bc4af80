//! What one connection has of the places: never more than are left for all others together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The calls and the streams of one connection, and its refusals that wait; clones share it.
///
/// Nobody has to say how many a connection may have: one that is alone may have half of all places,
/// and the less is free the less a connection may have that has many already, so that a few which
/// hold theirs cannot shut all others out. (Of buffers in switches: Choudhury and Hahne, "Dynamic
/// queue length thresholds for shared-memory packet switches", 1998.)
#[derive(Clone, Default)]
pub(super) struct Share(Arc<Held>);

#[derive(Default)]
struct Held {
    calls: AtomicUsize,
    bulk: AtomicUsize,
    streams: AtomicUsize,
    probe_streams: AtomicUsize,
    refusals: AtomicUsize,
}

impl Share {
    pub fn calls(&self) -> &AtomicUsize {
        &self.0.calls
    }

    /// Of the calls, those about many states.
    pub fn bulk(&self) -> &AtomicUsize {
        &self.0.bulk
    }

    pub fn streams(&self) -> &AtomicUsize {
        &self.0.streams
    }

    /// Watches of health.
    pub fn probe_streams(&self) -> &AtomicUsize {
        &self.0.probe_streams
    }

    /// Those that are told later.
    pub fn refusals(&self) -> &AtomicUsize {
        &self.0.refusals
    }
}

/// Whether who has `own` of those that are taken may have one more of the `max` that there are.
pub(super) fn has_room(own: &AtomicUsize, taken: usize, max: usize) -> bool {
    own.load(Ordering::Relaxed) < max.saturating_sub(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many as it gets.
    fn grab(taken: &mut usize, max: usize) -> usize {
        let own = AtomicUsize::new(0);
        while has_room(&own, *taken, max) {
            own.fetch_add(1, Ordering::Relaxed);
            *taken += 1;
        }
        own.into_inner()
    }

    #[test]
    fn who_is_alone_has_half_and_who_comes_later_half_of_the_rest() {
        let mut taken = 0;
        let shares: Vec<_> = (0..4).map(|_| grab(&mut taken, 64)).collect();
        assert_eq!(shares, [32, 16, 8, 4]);
        assert_eq!(grab(&mut 0, 1), 1, "the only place there is can be had");
        assert_eq!(grab(&mut 7, 7), 0);
    }
}
