//! The write that the store is at: since when.

use std::sync::atomic::{AtomicU64, Ordering};

/// At most one write at a time, as one task makes them all.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Milliseconds on the clock when it began, and 1; 0 while there is none.
    since: AtomicU64,
}

/// A write that is under way until this is dropped.
pub(super) struct Write<'a>(&'a UnderWay);

impl UnderWay {
    pub fn begin(&self, now_ms: u64) -> Write<'_> {
        self.since.store(now_ms + 1, Ordering::Relaxed);
        Write(self)
    }

    /// How long the write has been under way; `None` while there is none.
    pub fn age_ms(&self, now_ms: u64) -> Option<u64> {
        let since_ms = self.since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(now_ms.saturating_sub(since_ms))
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        self.0.since.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_an_age_until_it_ends() {
        let under_way = UnderWay::default();
        assert_eq!(under_way.age_ms(7), None);
        let write = under_way.begin(0);
        assert_eq!(under_way.age_ms(7), Some(7));
        drop(write);
        assert_eq!(under_way.age_ms(8), None);
    }
}
