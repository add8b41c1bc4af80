//! Looks at the callers file again and again, for as long as the server runs. What is valid takes
//! the place of what was there before; what is not is told once, and changes nothing.
//!
//! The whole file is read each time: it is small, and neither its time nor its length say for
//! certain that nobody has written to it.

use std::{convert::Infallible, io, path::Path, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{info, warn};

use super::{Callers, CallersErrors, Doors, callers};

/// A file that has changed is read a second time after this, and taken only if it is the same: it
/// may be in the middle of being written.
const SETTLE: Duration = Duration::from_millis(20);

/// A file of callers, as it was last looked at.
pub(super) struct Seen {
    path: PathBuf,
    /// `None` where it could not be read.
    bytes: Option<Vec<u8>>,
    is_valid: bool,
}

impl Seen {
    /// Reads the file at `path` for the first time.
    pub fn first(path: &Path) -> Result<(Self, Callers), CallersErrors> {
        let bytes = callers::bytes(path).map_err(|error| CallersErrors::unread(path, &error))?;
        let callers = Callers::parse(&path.display().to_string(), &bytes)?;
        Ok((Self { path: path.to_owned(), bytes: Some(bytes), is_valid: true }, callers))
    }

    /// What is in the file now, where that is new and has settled.
    async fn news(&self) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.read().await?;
        if self.bytes.as_ref() == Some(&bytes) {
            return Ok(None);
        }
        sleep(SETTLE).await;
        let again = self.read().await?;
        Ok((again == bytes).then_some(bytes))
    }

    async fn read(&self) -> io::Result<Vec<u8>> {
        let path = self.path.clone();
        spawn_blocking(move || callers::bytes(&path)).await?
    }
}

/// Keeps doors in step with their file, and with the time.
pub struct Keeper {
    doors: Doors,
    seen: Seen,
    /// Callers whose time was over when it was last looked at.
    expired: usize,
}

impl Keeper {
    pub(super) fn new(doors: Doors, seen: Seen) -> Self {
        let expired = doors.count_expired();
        Self { doors, seen, expired }
    }

    /// Looks at the file this often.
    pub async fn keep(mut self, every: Duration) -> Infallible {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Looks at file and time once, and lets the doors know of what has changed.
    pub async fn look(&mut self) {
        match self.seen.news().await {
            Ok(None) => {}
            Ok(Some(bytes)) => self.take(bytes),
            Err(error) => self.miss(&error),
        }
        if !self.seen.is_valid {
            // At each look, so that whoever watches the counter sees for how long.
            self.doors.metrics().reload_failures.inc();
        }
        let expired = self.doors.count_expired();
        if self.expired != expired {
            self.expired = expired;
            self.doors.replace(self.doors.callers());
        }
    }

    fn take(&mut self, bytes: Vec<u8>) {
        let read = Callers::parse(&self.seen.path.display().to_string(), &bytes);
        self.seen.bytes = Some(bytes);
        self.seen.is_valid = read.is_ok();
        match read {
            Ok(callers) => {
                info!(callers = callers.count(), "the callers file has changed and is in force");
                self.doors.replace(Arc::new(callers));
                self.doors.loaded();
                self.expired = self.doors.count_expired();
            }
            Err(errors) => warn!(%errors, "the callers stay as they were"),
        }
    }

    fn miss(&mut self, error: &io::Error) {
        self.seen.is_valid = false;
        if self.seen.bytes.take().is_some() {
            let file = self.seen.path.display();
            warn!(%file, %error, "the callers file cannot be read; the callers stay as they were");
        }
    }
}
