//! A date and time of TOML as seconds since the Unix epoch.

use toml::value::{Datetime, Offset};

const DAY_SECONDS: i64 = 86_400;

/// The seconds since the Unix epoch at `moment`, 0 where it was before; `None` where it has no
/// date, no time, or no offset from UTC, so that nobody can tell when that is.
pub(super) fn unix_seconds(moment: &Datetime) -> Option<u64> {
    let (date, time, offset) = (moment.date?, moment.time?, moment.offset?);
    let days = days(date.year.into(), date.month.into(), date.day.into());
    let second = i64::from(time.second.unwrap_or(0));
    let of_day = i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60 + second;
    let ahead = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes) * 60,
    };
    Some(u64::try_from(days * DAY_SECONDS + of_day - ahead).unwrap_or(0))
}

/// Days from 1970-01-01 to that one, in the calendar of today. The year begins in March here, so
/// that a leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // Five months in a row, from March and from August, have 153 days.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        unix_seconds(&text.parse().expect("it is TOML"))
    }

    #[test]
    fn moments_are_those_that_date_prints() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-02T00:00:01Z", 86_401),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2027-01-01T00:00:00Z", 1_798_761_600),
            ("2027-01-01T01:30:00+01:30", 1_798_761_600),
            ("2026-12-31T16:00:00-08:00", 1_798_761_600),
            ("2100-03-01T00:00:00.5Z", 4_107_542_400),
            ("1969-12-31T23:59:59Z", 0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_everywhere_is_none() {
        for text in ["2027-01-01T00:00:00", "2027-01-01", "00:00:00"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn days_follow_each_other() {
        let lengths = |leap| [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut expected = 0;
        for year in 1970..2500 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for (month, length) in (1..).zip(lengths(leap)) {
                for day in 1..=length {
                    assert_eq!(days(year, month, day), expected, "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
    }
}
