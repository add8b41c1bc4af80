//! The span of a caller, as the header `traceparent` of W3C Trace Context names it.

use http::{HeaderMap, HeaderName};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-` trace id `-` span id `-` flags: what later versions begin with too.
const LENGTH: usize = 55;
/// The version that is none.
const NO_VERSION: u64 = 0xff;
/// The one flag that is looked at.
const SAMPLED: u64 = 1;
/// The longest `tracestate` that is handed on: as much as everyone has to.
const STATE_BYTES_MAX: usize = 512;

/// Who called, and whether the trace that it belongs to is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parent {
    pub trace_id: u128,
    pub span_id: u64,
    pub is_sampled: bool,
}

impl Parent {
    /// `None` without the header, with several, and where it is not what it should be: the call
    /// then has no parent. Allocates nothing.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.as_bytes())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (text, rest) = text.split_at_checked(LENGTH)?;
        if [2, 35, 52].iter().any(|dash| text[*dash] != b'-') {
            return None;
        }
        let version = number(&text[..2])?;
        // Later versions may say more, behind another dash.
        let is_whole = rest.is_empty() || (version > 0 && rest[0] == b'-');
        if version == NO_VERSION || !is_whole {
            return None;
        }
        let (upper, lower) = (number(&text[3..19])?, number(&text[19..35])?);
        let trace_id = u128::from(upper) << 64 | u128::from(lower);
        let span_id = number(&text[36..52])?;
        let is_sampled = number(&text[53..])? & SAMPLED != 0;
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, is_sampled })
    }
}

/// What vendors want handed on with a trace, the values of all headers together; empty where it is
/// too long.
pub(super) fn state(headers: &HeaderMap) -> String {
    let mut state = String::new();
    for value in headers.get_all(&TRACESTATE) {
        let Ok(value) = value.to_str() else { return String::new() };
        if !state.is_empty() {
            state.push(',');
        }
        state.push_str(value);
        if state.len() > STATE_BYTES_MAX {
            return String::new();
        }
    }
    state
}

/// Hexadecimal digits in lower case, sixteen at most.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let value = |value: &&str| HeaderValue::from_str(value).expect("a header can have it");
        values.iter().map(|text| (name.clone(), value(text))).collect()
    }

    fn parent(text: &str) -> Option<Parent> {
        Parent::of(&headers(&TRACEPARENT, &[text]))
    }

    #[test]
    fn ids_and_the_flag_are_read() {
        let wanted = |is_sampled| {
            let (trace_id, span_id) =
                (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
            Some(Parent { trace_id, span_id, is_sampled })
        };
        assert_eq!(parent(&format!("00-{TRACE}-{SPAN}-01")), wanted(true));
        assert_eq!(parent(&format!("00-{TRACE}-{SPAN}-00")), wanted(false));
        // Flags that nobody knows yet, and a version that says more.
        assert_eq!(parent(&format!("00-{TRACE}-{SPAN}-fe")), wanted(false));
        assert_eq!(parent(&format!("00-{TRACE}-{SPAN}-03")), wanted(true));
        assert_eq!(parent(&format!("cc-{TRACE}-{SPAN}-01-more")), wanted(true));
        assert_eq!(parent(&format!("01-{TRACE}-{SPAN}-01")), wanted(true));
    }

    #[test]
    fn what_is_no_parent_is_none() {
        let nothing = "0".repeat(32);
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!("01-{TRACE}-{SPAN}-012"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0x-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-+0f067aa0ba902b7-01"),
            format!("00-{nothing}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &nothing[..16]),
        ] {
            assert_eq!(parent(&bad), None, "{bad:?}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(Parent::of(&HeaderMap::new()), None);
        assert_eq!(Parent::of(&headers(&TRACEPARENT, &[&good, &good])), None);
    }

    #[test]
    fn the_state_is_that_of_all_headers_unless_it_is_too_long() {
        assert_eq!(state(&HeaderMap::new()), "");
        assert_eq!(state(&headers(&TRACESTATE, &["a=1,b=2", "c=3"])), "a=1,b=2,c=3");
        let longest = format!("a={}", "x".repeat(STATE_BYTES_MAX - 2));
        assert_eq!(state(&headers(&TRACESTATE, &[&longest])), longest);
        assert_eq!(state(&headers(&TRACESTATE, &[&longest, "b=2"])), "");
        let strange = HeaderValue::from_bytes(b"a=\xff").expect("a header can have it");
        assert_eq!(state(&HeaderMap::from_iter([(TRACESTATE.clone(), strange)])), "");
    }
}
