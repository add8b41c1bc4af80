//! Page tokens: each has one spelling and goes with one query.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use readstates::{
    engine::{ListQuery, PageToken},
    model::{ChannelId, Key, Kind, UserId, Version},
};

use crate::draw::Draw;

/// Format, flags, kind, channel, version.
const BODY_BYTES: usize = 1 + 1 + 1 + 8 + 8;

/// Reads a token for a query: as it stands, or with its checksum and its text made right.
pub fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let (user, since) = (draw.number(), draw.number());
    let flags = draw.byte();
    let query = ListQuery {
        user: UserId::new(user.max(1)).expect("not 0"),
        page_size: 10,
        page_token: "",
        since: Version::from_micros(since),
        unread_only: flags & 1 == 1,
    };
    let rest = draw.rest();
    let text = match flags & 2 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        _ => sealed(rest, &query),
    };
    let Some(token) = PageToken::decode(&text, &query) else { return };
    assert_eq!(token.encode(&query), text, "a token has one spelling");
    assert_eq!(token.after.user, query.user);
    assert!(token.after >= Key::lowest_of(query.user));
    let other = ListQuery { unread_only: !query.unread_only, ..query };
    assert_eq!(PageToken::decode(&text, &other), None, "it is of another query");
    let other = ListQuery { since: Version::from_micros(since ^ 1), ..query };
    assert_eq!(PageToken::decode(&text, &other), None, "it is of another query");
}

/// Tokens as they are given out, and what is sealed to be one.
pub fn seeds() -> Vec<Vec<u8>> {
    let head = |flags| vec![5, 0, flags];
    let user = UserId::new(5).expect("not 0");
    let (since, page_size, page_token) = (Version::ZERO, 10, "");
    let query = ListQuery { user, page_size, page_token, since, unread_only: false };
    let channel = ChannelId::new(u64::MAX).expect("not 0");
    let mut seeds = Vec::new();
    for kind in Kind::ALL {
        let after = Key { user, kind, channel };
        let token = PageToken { after, version: Version::from_micros(99), delta: true };
        let text = token.encode(&query);
        seeds.push([head(0), text.clone().into_bytes()].concat());
        let sealed = URL_SAFE_NO_PAD.decode(text).expect("it is base64");
        seeds.push([head(2), sealed[..BODY_BYTES].to_vec()].concat());
    }
    seeds
}

/// The text of a token with this body, whatever stands in it.
fn sealed(body: &[u8], query: &ListQuery<'_>) -> String {
    let mut sum = crc32c::crc32c(body);
    sum = crc32c::crc32c_append(sum, &query.user.as_u64().to_be_bytes());
    sum = crc32c::crc32c_append(sum, &query.since.as_micros().to_be_bytes());
    sum = crc32c::crc32c_append(sum, &[u8::from(query.unread_only)]);
    URL_SAFE_NO_PAD.encode([body, &sum.to_be_bytes()].concat())
}
