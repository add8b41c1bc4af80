//! Which failed calls are worth another try, and when.

use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::failure::{is_local, is_unreachable};

/// The first wait; each one after it is twice as long ...
const BACKOFF_FIRST: Duration = Duration::from_millis(20);
/// ... up to this.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Where a server says in milliseconds when to come back, or a negative number for never.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// Why a call was not made.
#[derive(Debug)]
pub enum CallError {
    /// The answer is an error that another try would not change.
    Refused(Status),
    /// It kept failing for as long as it was to be tried.
    GaveUp(Status),
}

/// Makes `call` until it succeeds, is refused, or `retry_for` has passed since it first failed.
/// `retried` hears of every failure that is followed by another try.
pub async fn persist<T, F>(
    retry_for: Duration,
    mut call: impl FnMut() -> F,
    retried: impl Fn(&Status),
) -> Result<T, CallError>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut backoff = BACKOFF_FIRST;
    let mut give_up_at = None;
    loop {
        let status = match call().await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        let wait = match verdict(&status) {
            Verdict::Refused => return Err(CallError::Refused(status)),
            Verdict::ComeBackAfter(delay) => delay,
            Verdict::BackOff => backoff,
        };
        let now = Instant::now();
        let give_up_at = *give_up_at.get_or_insert(now + retry_for);
        if now >= give_up_at || wait > give_up_at - now {
            return Err(CallError::GaveUp(status));
        }
        retried(&status);
        tokio::time::sleep(jittered(wait)).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// Whether the same call may succeed later.
pub fn is_passing(status: &Status) -> bool {
    verdict(status) != Verdict::Refused
}

/// Up to half as long again, so that those who were turned away together come back one by one.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(1.0..1.5))
}

#[derive(Debug, PartialEq)]
enum Verdict {
    Refused,
    BackOff,
    ComeBackAfter(Duration),
}

fn verdict(status: &Status) -> Verdict {
    let passing = is_unreachable(status) || status.code() == Code::DeadlineExceeded;
    if !passing && status.code() != Code::ResourceExhausted {
        return Verdict::Refused;
    }
    match pushback(status) {
        Some(verdict) => verdict,
        None if passing => Verdict::BackOff,
        // Without a word on when to come back it is the request that is too large.
        None => Verdict::Refused,
    }
}

/// What the server says of another try.
fn pushback(status: &Status) -> Option<Verdict> {
    if is_local(status) {
        return None;
    }
    if let Some(delay) = status.metadata().get(PUSHBACK) {
        let delay_ms = delay.to_str().ok().and_then(|text| text.parse().ok());
        let come_back = |ms| Verdict::ComeBackAfter(Duration::from_millis(ms));
        return Some(delay_ms.map_or(Verdict::Refused, come_back));
    }
    status.get_details_retry_info()?.retry_delay.map(Verdict::ComeBackAfter)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tonic_types::ErrorDetails;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn retry_info(code: Code, delay: Duration) -> Status {
        Status::with_error_details(code, "", ErrorDetails::with_retry_info(Some(delay)))
    }

    fn with_pushback(mut status: Status, text: &str) -> Status {
        status.metadata_mut().insert(PUSHBACK, text.parse().unwrap());
        status
    }

    /// Fails `failures` times, then answers how often it was called.
    async fn try_failing(
        failures: u32,
        retry_for: Duration,
        status: impl Fn() -> Status,
    ) -> (Result<u32, CallError>, u32) {
        let (calls, retries) = (Cell::new(0), Cell::new(0));
        let call = || {
            calls.set(calls.get() + 1);
            let answer = if calls.get() > failures { Ok(calls.get()) } else { Err(status()) };
            async move { answer }
        };
        let answer = persist(retry_for, call, |_| retries.set(retries.get() + 1)).await;
        (answer, retries.get())
    }

    #[tokio::test]
    async fn an_absent_server_is_tried_until_it_is_back() {
        let (answer, retries) = try_failing(3, LONG, || Status::unavailable("")).await;
        assert_eq!((answer.unwrap(), retries), (4, 3));
    }

    #[tokio::test]
    async fn a_server_that_stays_away_is_given_up() {
        let (answer, retries) =
            try_failing(u32::MAX, Duration::ZERO, || Status::unavailable("")).await;
        assert!(
            matches!(answer, Err(CallError::GaveUp(status)) if status.code() == Code::Unavailable)
        );
        assert_eq!(retries, 0);
    }

    #[tokio::test]
    async fn a_refusal_is_not_tried_again() {
        let (answer, retries) = try_failing(1, LONG, || Status::invalid_argument("")).await;
        assert!(matches!(answer, Err(CallError::Refused(_))));
        assert_eq!(retries, 0);
    }

    #[tokio::test]
    async fn a_delay_beyond_the_time_for_tries_is_not_waited_for() {
        let status = || retry_info(Code::ResourceExhausted, LONG * 2);
        let (answer, retries) = try_failing(1, LONG, status).await;
        assert!(matches!(answer, Err(CallError::GaveUp(_))));
        assert_eq!(retries, 0);
    }

    #[test]
    fn the_servers_word_on_when_to_come_back_is_kept() {
        let delay = Duration::from_millis(70);
        let exhausted = || Status::resource_exhausted("");
        for (status, expected) in [
            (retry_info(Code::ResourceExhausted, delay), Verdict::ComeBackAfter(delay)),
            (retry_info(Code::Unavailable, delay), Verdict::ComeBackAfter(delay)),
            (with_pushback(exhausted(), "70"), Verdict::ComeBackAfter(delay)),
            (with_pushback(exhausted(), "-1"), Verdict::Refused),
            (with_pushback(Status::unavailable(""), "nonsense"), Verdict::Refused),
            (with_pushback(Status::internal(""), "70"), Verdict::Refused),
            (exhausted(), Verdict::Refused),
            (Status::deadline_exceeded(""), Verdict::BackOff),
            (Status::internal(""), Verdict::Refused),
        ] {
            assert_eq!(verdict(&status), expected, "{status:?}");
        }
    }

    #[test]
    fn a_broken_connection_is_worth_another_try_whatever_its_code() {
        let broken = Status::from_error(Box::new(std::io::Error::other("reset")));
        assert_eq!(verdict(&broken), Verdict::BackOff);
    }
}
