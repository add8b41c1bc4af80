//! The lines of a dump as JSON.

use serde::{Deserialize, Serialize};

use crate::proto::{PartialAck, ReadStateType, StateRecord};

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub readstates_dump: u64,
    #[serde(with = "text")]
    pub version: u64,
}

/// The last line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trailer {
    #[serde(with = "text")]
    pub rows: u64,
    pub crc32c: String,
}

/// How a first line begins, whatever its format.
pub const HEADER_START: &[u8] = b"{\"readstates_dump\":";

/// How a last line begins, and no other.
pub const TRAILER_START: &[u8] = b"{\"rows\":";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    #[serde(with = "text")]
    user_id: u64,
    #[serde(with = "text")]
    channel_id: u64,
    r#type: String,
    #[serde(with = "text")]
    version: u64,
    #[serde(with = "text")]
    last_acked_id: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    marked_unread: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    mentions_inexact: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    flags: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    last_viewed_day: u32,
    #[serde(default, skip_serializing_if = "is_default", with = "text")]
    last_pin_ack_ms: u64,
    #[serde(default, skip_serializing_if = "is_default", with = "texts")]
    counted_ids: Vec<u64>,
    #[serde(default, skip_serializing_if = "is_default", with = "texts")]
    zeroed_ids: Vec<u64>,
    #[serde(default, skip_serializing_if = "is_default")]
    folded_count: u32,
    #[serde(default, skip_serializing_if = "is_default", with = "text")]
    fold_top: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    unpositioned_count: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    partial_ack: Option<Ack>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ack {
    #[serde(with = "text")]
    last_acked_id: u64,
    mention_count: u32,
    left_count: u32,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The line of a state, without its end. Tombstones are not in a dump.
pub fn of_state(state: &StateRecord) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&State {
        user_id: state.user_id,
        channel_id: state.channel_id,
        r#type: state.r#type().as_str_name().to_owned(),
        version: state.version,
        last_acked_id: state.last_acked_id,
        marked_unread: state.marked_unread,
        mentions_inexact: state.mentions_inexact,
        flags: state.flags,
        last_viewed_day: state.last_viewed_day,
        last_pin_ack_ms: state.last_pin_ack_ms,
        counted_ids: state.counted_ids.clone(),
        zeroed_ids: state.zeroed_ids.clone(),
        folded_count: state.folded_count,
        fold_top: state.fold_top,
        unpositioned_count: state.unpositioned_count,
        partial_ack: state.partial_ack.as_ref().map(|ack| Ack {
            last_acked_id: ack.last_acked_id,
            mention_count: ack.mention_count,
            left_count: ack.left_count,
        }),
    })
}

/// The state of a line.
pub fn to_state(line: &[u8]) -> Result<StateRecord, String> {
    let state: State = serde_json::from_slice(line).map_err(|error| told(&error))?;
    let kind = ReadStateType::from_str_name(&state.r#type)
        .filter(|kind| *kind != ReadStateType::Unspecified)
        .ok_or_else(|| format!("{:?} is no read state type", state.r#type))?;
    if state.user_id == 0 || state.channel_id == 0 || state.version == 0 {
        return Err("user_id, channel_id and version are never 0".to_owned());
    }
    Ok(StateRecord {
        user_id: state.user_id,
        channel_id: state.channel_id,
        r#type: kind.into(),
        version: state.version,
        deleted: false,
        last_acked_id: state.last_acked_id,
        marked_unread: state.marked_unread,
        mentions_inexact: state.mentions_inexact,
        flags: state.flags,
        last_viewed_day: state.last_viewed_day,
        last_pin_ack_ms: state.last_pin_ack_ms,
        counted_ids: state.counted_ids,
        zeroed_ids: state.zeroed_ids,
        folded_count: state.folded_count,
        fold_top: state.fold_top,
        unpositioned_count: state.unpositioned_count,
        partial_ack: state.partial_ack.map(|ack| PartialAck {
            last_acked_id: ack.last_acked_id,
            mention_count: ack.mention_count,
            left_count: ack.left_count,
        }),
    })
}

/// What is wrong with a line. Its number in the file is told beside, not that within itself.
pub fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    format!("{text} (column {})", error.column())
}

/// A 64-bit number as a string of digits.
mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no number")))
    }

    pub fn parse(text: &str) -> Option<u64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    }
}

/// Many of them.
mod texts {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::text::parse;

    pub fn serialize<S: Serializer>(numbers: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(numbers.iter().map(ToString::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let number = |text: &String| {
            parse(text).ok_or_else(|| D::Error::custom(format!("{text:?} is no number")))
        };
        texts.iter().map(number).collect()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A state with every part, and one with as few as can be.
    pub fn states() -> [StateRecord; 2] {
        let plain = StateRecord {
            user_id: 1,
            channel_id: u64::MAX,
            r#type: 1,
            version: 1_700_000_000_000_000,
            ..StateRecord::default()
        };
        let full = StateRecord {
            user_id: 2,
            r#type: 6,
            last_acked_id: 7,
            marked_unread: true,
            mentions_inexact: true,
            flags: u32::MAX,
            last_viewed_day: 9,
            last_pin_ack_ms: u64::MAX,
            counted_ids: vec![20, u64::MAX],
            zeroed_ids: vec![30],
            folded_count: 1,
            fold_top: 8,
            unpositioned_count: 2,
            partial_ack: Some(PartialAck { last_acked_id: 3, mention_count: 4, left_count: 5 }),
            ..plain.clone()
        };
        [plain, full]
    }

    #[test]
    fn a_state_comes_back_from_its_line() {
        for state in states() {
            let line = of_state(&state).unwrap();
            assert_eq!(to_state(&line).unwrap(), state);
        }
        let [plain, _] = states();
        assert_eq!(
            String::from_utf8(of_state(&plain).unwrap()).unwrap(),
            "{\"user_id\":\"1\",\"channel_id\":\"18446744073709551615\",\
             \"type\":\"READ_STATE_TYPE_CHANNEL\",\"version\":\"1700000000000000\",\
             \"last_acked_id\":\"0\"}"
        );
    }

    #[test]
    fn what_is_no_state_is_told() {
        let [_, full] = states();
        let good = String::from_utf8(of_state(&full).unwrap()).unwrap();
        for (from, to) in [
            ("\"user_id\":\"2\"", "\"user_id\":\"0\""),
            ("\"user_id\":\"2\"", "\"user_id\":2"),
            ("\"user_id\":\"2\"", "\"user_id\":\"+2\""),
            ("\"user_id\":\"2\"", "\"user_id\":\"\""),
            ("\"user_id\":\"2\",", ""),
            ("\"folded_count\"", "\"fold_count\""),
            ("READ_STATE_TYPE_MESSAGE_REQUESTS", "READ_STATE_TYPE_UNSPECIFIED"),
            ("READ_STATE_TYPE_MESSAGE_REQUESTS", "X"),
            ("[\"30\"]", "[\"x\"]"),
            ("}", ""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert!(to_state(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
