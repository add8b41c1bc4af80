//! Request ids. One that a caller sends comes back with the answer and stands in the log beside
//! what is logged of the call. A call without one that fails on this side is given one, so that
//! what a user reports can be found in the log.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use tracing::{debug, field, info, warn};

/// Where the id is, in requests and in answers.
static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a caller.
const LENGTH_MAX: usize = 128;

/// Failures that are logged in one second at most: without a store every call is one.
const FAILURES_PER_SECOND_MAX: u32 = 100;

/// The log is the process's, and so is the bound on what goes into it.
static FAILURES: Allowance = Allowance::new();

/// What a call is known by on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// The one that the caller gave: visible characters of ASCII, or it is none. Without it this is
    /// one look into the headers.
    pub fn given(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(&HEADER)?;
        let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
        (visible && (1..=LENGTH_MAX).contains(&value.len())).then(|| Self(value.clone()))
    }

    /// A new one, unlike any other.
    fn drawn() -> Self {
        let text = format!("{:032x}", rand::random::<u128>());
        Self(HeaderValue::try_from(text).expect("hexadecimal digits are visible"))
    }

    /// Sends it back.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(HEADER.clone(), self.0.clone());
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// Logs the failure that is in `headers`, and gives its call an id that is then in both, if it has
/// none. With too many failures neither happens: an id that was given out is in the log, and so is
/// that of the trace that the call is in.
///
/// What the caller can mend is not logged.
pub(super) fn report(
    id: &mut Option<RequestId>,
    method: &str,
    trace_id: Option<impl fmt::Display>,
    headers: &mut HeaderMap,
) {
    let failed = Status::from_header_map(headers).filter(|status| is_own(status.code()));
    let Some(status) = failed.filter(|_| FAILURES.take(seconds_now())) else { return };
    let id = &*id.get_or_insert_with(RequestId::drawn);
    id.write(headers);
    let (code, reason) = (status.code(), status.get_details_error_info().map(|info| info.reason));
    let reason = reason.as_deref().unwrap_or_default();
    let trace_id = trace_id.as_ref().map(field::display);
    match code {
        // It passes, and who is to act on it hears of it elsewhere.
        Code::Unavailable => {
            info!(request_id = %id, trace_id, method, ?code, reason, "a call failed");
        }
        _ => warn!(request_id = %id, trace_id, method, ?code, reason, "a call failed"),
    }
    // It may name a user, which no log above this level does.
    debug!(request_id = %id, message = status.message(), "why a call failed");
}

/// Whether the error is one of the server or of what it depends on.
pub(super) fn is_own(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Internal | Code::DataLoss | Code::Unknown)
}

fn seconds_now() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Wraps, which matters to nobody: it is only told from the one before.
    now.as_secs() as u32
}

/// How much was logged in the second that runs.
struct Allowance {
    /// The second, and in the lower half how often.
    taken: AtomicU64,
}

impl Allowance {
    const fn new() -> Self {
        Self { taken: AtomicU64::new(0) }
    }

    /// Whether one more is within the bounds of `second`.
    fn take(&self, second: u32) -> bool {
        let next = |taken: u64| {
            let (of, count) = ((taken >> 32) as u32, taken as u32);
            let count = if of == second { count } else { 0 };
            (count < FAILURES_PER_SECOND_MAX)
                .then(|| u64::from(second) << 32 | u64::from(count + 1))
        };
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::{reason::Reason, status::Failure};

    fn headers(id: &[u8]) -> HeaderMap {
        let value = HeaderValue::from_bytes(id).expect("a header can have it");
        HeaderMap::from_iter([(HEADER.clone(), value)])
    }

    fn failure(reason: Reason) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let status = Status::from(Failure::new(reason, "it is so"));
        status.add_header(&mut headers).expect("a status is a header");
        headers
    }

    #[test]
    fn an_id_of_visible_characters_is_taken_and_sent_back() {
        let longest = [b'x'; LENGTH_MAX];
        for good in [&b"a"[..], b"!~", b"0af7651916cd43dd8448eb211c80319c", &longest] {
            let id = RequestId::given(&headers(good)).expect("it is one");
            let mut answer = HeaderMap::new();
            id.write(&mut answer);
            assert_eq!(answer[&HEADER], good);
            assert_eq!(id.to_string().as_bytes(), good);
        }
    }

    #[test]
    fn what_is_no_id_is_ignored() {
        let too_long = [b'x'; LENGTH_MAX + 1];
        for bad in [&b""[..], b"a b", b"a\tb", "é".as_bytes(), b"\xff", &too_long] {
            assert_eq!(RequestId::given(&headers(bad)), None, "{bad:?}");
        }
        assert_eq!(RequestId::given(&HeaderMap::new()), None);
    }

    #[test]
    fn a_failure_on_this_side_is_given_an_id_and_keeps_one_it_has() {
        let mut answer = failure(Reason::StoreCorrupt);
        let mut id = None;
        report(&mut id, "a/b", None::<&str>, &mut answer);
        let drawn = id.expect("it was drawn").to_string();
        assert!(drawn.len() == 32 && drawn.bytes().all(|b| b.is_ascii_hexdigit()), "{drawn}");
        assert_eq!(answer[&HEADER], drawn);
        let mut id = RequestId::given(&headers(b"mine"));
        let mut answer = failure(Reason::StoreUnavailable);
        report(&mut id, "a/b", None::<&str>, &mut answer);
        assert_eq!(answer[&HEADER], "mine");
    }

    #[test]
    fn what_the_caller_can_mend_is_given_none() {
        for reason in [Reason::InvalidId, Reason::ReadStateNotFound, Reason::DirtyLimit] {
            let mut answer = failure(reason);
            let mut id = None;
            report(&mut id, "a/b", None::<&str>, &mut answer);
            assert!(id.is_none() && !answer.contains_key(&HEADER), "{reason:?}");
        }
        report(&mut None, "a/b", None::<&str>, &mut HeaderMap::new());
    }

    #[test]
    fn no_second_logs_more_failures_than_are_allowed() {
        let allowance = Allowance::new();
        for second in [0, 7, u32::MAX] {
            let taken = (0..2 * FAILURES_PER_SECOND_MAX).filter(|_| allowance.take(second));
            assert_eq!(taken.count(), FAILURES_PER_SECOND_MAX as usize, "{second}");
        }
    }
}
