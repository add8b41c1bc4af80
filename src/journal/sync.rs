//! The one door through which locks, atomics and threads come into this room, so that a scheduler
//! can stand in: with the feature `shuttle` that one decides which thread goes on at each of them.

#[cfg(not(feature = "shuttle"))]
pub(super) use parking_lot::{Condvar, Mutex};
#[cfg(not(feature = "shuttle"))]
pub(super) use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    thread,
};

#[cfg(feature = "shuttle")]
pub(super) use scheduled::{Condvar, Mutex};
#[cfg(feature = "shuttle")]
pub(super) use shuttle::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    thread,
};

#[cfg(feature = "shuttle")]
mod scheduled {
    use std::{
        ops::{Deref, DerefMut},
        sync::PoisonError,
        time::Duration,
    };

    use shuttle::sync::MutexGuard;

    /// The scheduler's lock under the face of the usual one.
    #[derive(Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self(shuttle::sync::Mutex::new(value))
        }

        pub fn lock(&self) -> Guard<'_, T> {
            Guard(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)))
        }
    }

    /// Empty only while its holder waits.
    pub struct Guard<'a, T>(Option<MutexGuard<'a, T>>);

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().expect("nobody looks while its holder waits")
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().expect("nobody looks while its holder waits")
        }
    }

    /// The scheduler's condition under the face of the usual one. Time stands still: whoever is not
    /// notified waits for ever, so that a notification that is lost shows.
    #[derive(Default)]
    pub struct Condvar(shuttle::sync::Condvar);

    /// How a wait ended.
    pub struct Waited;

    impl Waited {
        pub fn timed_out(&self) -> bool {
            false
        }
    }

    impl Condvar {
        pub fn wait_for<T>(&self, guard: &mut Guard<'_, T>, _: Duration) -> Waited {
            let held = guard.0.take().expect("its holder does not wait yet");
            guard.0 = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
            Waited
        }

        pub fn notify_one(&self) {
            self.0.notify_one();
        }
    }
}
