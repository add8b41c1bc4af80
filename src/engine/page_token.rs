//! The opaque token between two pages of a list.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::ListQuery;
use crate::model::{ChannelId, Key, Kind, Version};

const FORMAT: u8 = 1;
/// Format, flags, kind, channel, version, checksum.
const BYTES: usize = 1 + 1 + 1 + 8 + 8 + 4;

/// Where a list goes on, and what was fixed for all of its pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// The last key that was looked at.
    pub after: Key,
    /// The version that every page answers.
    pub version: Version,
    /// Whether every page tells changes, not a full set.
    pub delta: bool,
}

impl PageToken {
    /// URL-safe text. It is bound to the query: another user's, or other filters, do not take it.
    pub fn encode(&self, query: &ListQuery<'_>) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend([FORMAT, u8::from(self.delta), self.after.kind as u8]);
        bytes.extend(self.after.channel.as_u64().to_be_bytes());
        bytes.extend(self.version.as_micros().to_be_bytes());
        let checksum = checksum(&bytes, query);
        bytes.extend(checksum.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` for anything that [`Self::encode`] did not make for this query.
    pub fn decode(text: &str, query: &ListQuery<'_>) -> Option<Self> {
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (body, sum) = bytes.split_at(BYTES - 4);
        if sum != checksum(body, query).to_be_bytes() || body[0] != FORMAT {
            return None;
        }
        let number = |at: usize| Some(u64::from_be_bytes(body[at..at + 8].try_into().ok()?));
        let delta = match body[1] {
            0 => false,
            1 => true,
            _ => return None,
        };
        let kind = Kind::from_u8(body[2])?;
        let channel = ChannelId::new(number(3)?)?;
        let after = Key { user: query.user, kind, channel };
        Some(Self { after, version: Version::from_micros(number(11)?), delta })
    }
}

/// Over the token and what the query must have in common on all pages.
fn checksum(body: &[u8], query: &ListQuery<'_>) -> u32 {
    let mut sum = crc32c::crc32c(body);
    sum = crc32c::crc32c_append(sum, &query.user.as_u64().to_be_bytes());
    sum = crc32c::crc32c_append(sum, &query.since.as_micros().to_be_bytes());
    crc32c::crc32c_append(sum, &[u8::from(query.unread_only)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserId;

    fn query(user: u64) -> ListQuery<'static> {
        ListQuery {
            user: UserId::new(user).unwrap(),
            page_size: 10,
            page_token: "",
            since: Version::from_micros(7),
            unread_only: false,
        }
    }

    fn token() -> PageToken {
        let after = Key {
            user: UserId::new(5).unwrap(),
            kind: Kind::GuildHome,
            channel: ChannelId::new(u64::MAX).unwrap(),
        };
        PageToken { after, version: Version::from_micros(99), delta: true }
    }

    #[test]
    fn a_token_comes_back_as_it_was_for_the_query_it_was_made_for() {
        let text = token().encode(&query(5));
        assert_eq!(PageToken::decode(&text, &query(5)), Some(token()));
        assert_eq!(PageToken::decode(&text, &query(6)), None);
        let other = ListQuery { unread_only: true, ..query(5) };
        assert_eq!(PageToken::decode(&text, &other), None);
        let other = ListQuery { since: Version::ZERO, ..query(5) };
        assert_eq!(PageToken::decode(&text, &other), None);
    }

    #[test]
    fn no_damaged_token_is_taken() {
        let text = token().encode(&query(5));
        for at in 0..text.len() {
            assert_eq!(PageToken::decode(&text[..at], &query(5)), None);
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(PageToken::decode(&changed, &query(5)), None, "byte {at}");
        }
        assert_eq!(PageToken::decode("not a token", &query(5)), None);
    }

    /// Each token has one spelling: a flag that says neither was taken for no.
    #[test]
    fn flags_that_say_neither_are_refused() {
        let bytes = URL_SAFE_NO_PAD.decode(token().encode(&query(5))).unwrap();
        for flags in 0..=u8::MAX {
            let mut body = bytes[..BYTES - 4].to_vec();
            body[1] = flags;
            let sum = checksum(&body, &query(5));
            body.extend(sum.to_be_bytes());
            let decoded = PageToken::decode(&URL_SAFE_NO_PAD.encode(body), &query(5));
            let expected = [false, true].get(usize::from(flags)).copied();
            assert_eq!(decoded.map(|token| token.delta), expected, "flags {flags}");
        }
    }
}
