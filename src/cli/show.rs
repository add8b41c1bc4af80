//! One read state as people and as programs like to read it.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{kind, table::Table};
use crate::proto::ReadState;

/// The last microsecond of the year 9999, the last that RFC 3339 can write.
const LAST_WRITABLE_MICROS: u64 = 253_402_300_799_999_999;

/// The state in the manner of proto3 JSON with the proto's own field names: 64-bit numbers are
/// strings, because most readers of JSON would round them.
pub fn state_json(state: &ReadState) -> Value {
    json!({
        "user_id": state.user_id.to_string(),
        "channel_id": state.channel_id.to_string(),
        "type": state.r#type().as_str_name(),
        "last_acked_id": state.last_acked_id.to_string(),
        "mention_count": state.mention_count,
        "version": state.version.to_string(),
        "marked_unread": state.marked_unread,
        "flags": state.flags,
        "last_viewed_day": state.last_viewed_day,
        "last_pin_ack_ms": state.last_pin_ack_ms.to_string(),
        "mentions_exact": state.mentions_exact,
        "deleted": state.deleted,
    })
}

/// The state as lines of a name and a value; fields that say nothing are left out.
pub fn state_lines(state: &ReadState) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("user", state.user_id.to_string()),
        ("channel", state.channel_id.to_string()),
        ("type", kind::name(state.r#type())),
        ("last acked", last_acked(state)),
        ("mentions", mentions(state)),
        ("version", version(state.version)),
    ];
    let rare = [
        (state.marked_unread, "marked unread", "yes".to_owned()),
        (state.deleted, "deleted", "yes".to_owned()),
        (state.flags != 0, "flags", format!("{:#b}", state.flags)),
        (state.last_viewed_day != 0, "last viewed day", state.last_viewed_day.to_string()),
        (state.last_pin_ack_ms != 0, "last pin ack", instant(state.last_pin_ack_ms, 1_000)),
    ];
    lines.extend(rare.into_iter().filter(|(said, ..)| *said).map(|(_, name, value)| (name, value)));
    lines
}

/// Names and values, the values aligned.
pub fn render_lines(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<_> =
        lines.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect();
    lines.join("\n")
}

/// Many states of one user, a row each.
pub fn state_table(states: &[ReadState]) -> String {
    let mut table = Table::new(&["TYPE", "CHANNEL", "LAST ACKED", "MENTIONS", "VERSION", "NOTE"]);
    for state in states {
        table.push(vec![
            kind::name(state.r#type()),
            state.channel_id.to_string(),
            state.last_acked_id.to_string(),
            mentions(state),
            state.version.to_string(),
            note(state).to_owned(),
        ]);
    }
    table.render()
}

/// A version and the moment it stands for.
pub fn version(version: u64) -> String {
    instant(version, 1)
}

fn last_acked(state: &ReadState) -> String {
    if state.last_acked_id == 0 {
        return "0 (nothing read)".to_owned();
    }
    state.last_acked_id.to_string()
}

/// The count; a `~` says that it may not be exact.
fn mentions(state: &ReadState) -> String {
    let mark = if state.mentions_exact { "" } else { "~" };
    format!("{mark}{}", state.mention_count)
}

fn note(state: &ReadState) -> &'static str {
    match (state.deleted, state.marked_unread) {
        (true, _) => "deleted",
        (false, true) => "unread",
        (false, false) => "",
    }
}

/// `number` and the time it means, in units of `unit_micros` since the Unix epoch.
fn instant(number: u64, unit_micros: u64) -> String {
    match number.checked_mul(unit_micros) {
        Some(micros) if (1..=LAST_WRITABLE_MICROS).contains(&micros) => {
            let time = UNIX_EPOCH + Duration::from_micros(micros);
            format!("{number} ({})", humantime::format_rfc3339_millis(time))
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ReadState {
        ReadState {
            user_id: u64::MAX,
            channel_id: 2,
            r#type: 1,
            last_acked_id: 3,
            mention_count: 4,
            version: 1_500_000_000_000_000,
            mentions_exact: true,
            ..ReadState::default()
        }
    }

    #[test]
    fn json_keeps_every_digit_of_an_id() {
        let json = state_json(&state());
        assert_eq!(json["user_id"], "18446744073709551615");
        assert_eq!(json["type"], "READ_STATE_TYPE_CHANNEL");
        assert_eq!(json["mention_count"], 4);
    }

    #[test]
    fn lines_leave_out_what_says_nothing() {
        let text = render_lines(&state_lines(&state()));
        assert!(text.contains("version     1500000000000000 (2017-07-14T02:40:00.000Z)"), "{text}");
        assert!(!text.contains("flags"), "{text}");
        let marked = ReadState { marked_unread: true, flags: 5, ..state() };
        let text = render_lines(&state_lines(&marked));
        assert!(text.contains("marked unread  yes") && text.contains("0b101"), "{text}");
    }

    #[test]
    fn times_beyond_the_calendar_are_plain_numbers() {
        assert_eq!(version(u64::MAX), u64::MAX.to_string());
        assert_eq!(version(LAST_WRITABLE_MICROS + 1), (LAST_WRITABLE_MICROS + 1).to_string());
        assert!(version(LAST_WRITABLE_MICROS).contains("9999-12-31"));
        assert_eq!(instant(u64::MAX, 1_000), u64::MAX.to_string());
    }

    #[test]
    fn a_table_tells_dots_and_tombstones_and_inexact_counts() {
        let states = [
            ReadState { marked_unread: true, mentions_exact: false, ..state() },
            ReadState { deleted: true, ..state() },
        ];
        let table = state_table(&states);
        assert!(table.contains("~4") && table.contains("unread"), "{table}");
        assert!(table.ends_with("deleted"), "{table}");
    }
}
