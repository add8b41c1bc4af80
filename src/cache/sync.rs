//! The one door through which locks and atomics come into this room, so that a scheduler can stand
//! in: with the feature `shuttle` that one decides which thread goes on at each of them.

#[cfg(not(feature = "shuttle"))]
pub(super) use parking_lot::Mutex;
#[cfg(not(feature = "shuttle"))]
pub(super) use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "shuttle")]
pub(super) use scheduled::Mutex;
#[cfg(feature = "shuttle")]
pub(super) use shuttle::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "shuttle")]
mod scheduled {
    use std::sync::PoisonError;

    use shuttle::sync::MutexGuard;

    /// The scheduler's lock under the face of the usual one.
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
