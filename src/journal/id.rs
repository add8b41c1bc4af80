//! What a journal and its segments are called.

use std::fmt;

/// How the name of a segment ends, and how many digits are before that.
const ENDING: &str = ".segment";
const DIGITS: usize = 20;

/// Tells one journal from all others: drawn at random when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalId(pub u64);

impl JournalId {
    /// The id of a new journal.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A segment: 1, 2, 3, ... over the journal's whole life. 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// No segment: before the first one.
    pub const NONE: Self = Self(0);
    /// The segment that a new journal begins with.
    pub const FIRST: Self = Self(1);

    /// The segment after this one; `None` where that is the last number there is, which no server
    /// comes to.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// The name of its file.
    pub fn file_name(self) -> String {
        format!("{:0DIGITS$}{ENDING}", self.0)
    }

    /// The segment whose file is called `name`.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(ENDING).filter(|digits| digits.len() == DIGITS)?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let id = Self(digits.parse().ok().filter(|_| plain)?);
        (id != Self::NONE).then_some(id)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_come_back_and_sort_as_ids_do() {
        let names = [1, 9, 10, u64::MAX].map(|id| SegmentId(id).file_name());
        assert!(names.is_sorted());
        assert_eq!(names[0], "00000000000000000001.segment");
        assert_eq!(SegmentId::from_file_name(&names[3]), Some(SegmentId(u64::MAX)));
    }

    #[test]
    fn numbers_do_not_begin_anew() {
        assert_eq!(SegmentId::NONE.next(), Some(SegmentId::FIRST));
        assert_eq!(SegmentId(u64::MAX).next(), None);
    }

    #[test]
    fn other_names_are_no_segments() {
        let zero = SegmentId::NONE.file_name();
        for name in ["manifest", "1.segment", "+0000000000000000001.segment", &zero] {
            assert_eq!(SegmentId::from_file_name(name), None, "{name}");
        }
        let too_large = "99999999999999999999.segment";
        assert_eq!(SegmentId::from_file_name(too_large), None);
    }
}
