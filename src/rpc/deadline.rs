//! Until when a call is to be answered: the caller's `grpc-timeout`, and a bound for all.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderMap;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;

use super::{reason::Reason, status::Failure};

/// When a call is over, answered or not.
pub(super) struct Deadline {
    at: Option<Instant>,
    /// Only calls that wait for something have a timer.
    timer: Option<Pin<Box<Sleep>>>,
    is_begun: bool,
}

impl Deadline {
    /// Of a call that came now with these headers, and may take as long as `max`, if there is such
    /// a bound.
    pub fn new(headers: &HeaderMap, max: Option<Duration>) -> Self {
        let wanted = timeout(headers);
        let within = match (wanted, max) {
            (Some(wanted), Some(max)) => Some(wanted.min(max)),
            (wanted, max) => wanted.or(max),
        };
        // A caller may ask for more years than a clock has.
        let at = within.and_then(|within| Instant::now().checked_add(within));
        Self { at, timer: None, is_begun: false }
    }

    /// Whether a call that was not begun yet has waited too long for that: what nobody waits for
    /// any more is not started.
    pub fn is_over_before_it_began(&mut self) -> bool {
        !std::mem::replace(&mut self.is_begun, true)
            && self.at.is_some_and(|at| Instant::now() >= at)
    }

    /// How much time is left; none where there is no end.
    pub fn left(&self) -> Option<Duration> {
        self.at.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Ready once it has passed; never where there is none.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        timer.as_mut().poll(context)
    }
}

/// What is answered once it has passed.
pub(super) fn passed() -> Status {
    let message = "the deadline passed; the outcome may be either, a retry settles it";
    Failure::new(Reason::Deadline, message).into()
}

/// The `grpc-timeout` of the protocol: up to 8 digits and a unit.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(text: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().expect("a value"));
        headers
    }

    #[test]
    fn timeouts_of_every_unit_are_read_and_others_ignored() {
        let read = |text: &str| timeout(&headers(text));
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("0n"), Some(Duration::ZERO));
        for wrong in ["", "S", "5", "123456789S", "-1S", "5x", "1.5S"] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_shorter_of_both_holds_and_without_either_there_is_none() {
        let second = Duration::from_secs(1);
        for (text, max, passes_after) in [
            ("2S", Some(3 * second), Some(2 * second)),
            ("4S", Some(3 * second), Some(3 * second)),
            ("99999999H", None, None),
            ("none", Some(3 * second), Some(3 * second)),
            ("none", None, None),
        ] {
            let (mut deadline, began) = (Deadline::new(&headers(text), max), Instant::now());
            assert!(!deadline.is_over_before_it_began(), "{text}");
            let passing = std::future::poll_fn(|context| deadline.poll(context));
            let passed = tokio::time::timeout(100 * second, passing).await;
            assert_eq!(passed.ok().map(|()| began.elapsed()), passes_after, "{text} {max:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_begun_in_time_goes_on_and_what_was_not_is_not_begun() {
        let mut late = Deadline::new(&headers("5m"), None);
        let mut begun = Deadline::new(&headers("5m"), None);
        assert!(!begun.is_over_before_it_began());
        tokio::time::advance(Duration::from_millis(6)).await;
        assert!(late.is_over_before_it_began());
        assert!(!begun.is_over_before_it_began());
    }
}
