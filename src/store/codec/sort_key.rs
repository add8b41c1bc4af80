//! A key as bytes that sort as keys do, so that all of a user is one run of rows.

use crate::{
    model::{ChannelId, Key, Kind, UserId},
    store::{Damage, StoreError},
};

/// Length of a sort key.
pub const SORT_KEY_BYTES: usize = 17;

/// `user || kind || channel`, big-endian: byte order is the order of [`Key`].
pub fn sort_key(key: &Key) -> [u8; SORT_KEY_BYTES] {
    let mut bytes = [0; SORT_KEY_BYTES];
    bytes[..8].copy_from_slice(&key.user.as_u64().to_be_bytes());
    bytes[8] = key.kind as u8;
    bytes[9..].copy_from_slice(&key.channel.as_u64().to_be_bytes());
    bytes
}

/// The key that these bytes are of.
///
/// # Errors
/// [`StoreError::Corrupt`] where they are not those of any key.
pub fn from_sort_key(bytes: &[u8]) -> Result<Key, StoreError> {
    parse(bytes).ok_or_else(|| {
        let named = format!("{bytes:02x?} is not the key of a row");
        StoreError::Corrupt(Damage::of_row("there is a key that is none of a row", named))
    })
}

fn parse(bytes: &[u8]) -> Option<Key> {
    let (user, rest) = bytes.split_first_chunk()?;
    let (kind, channel) = rest.split_first()?;
    Some(Key {
        user: UserId::new(u64::from_be_bytes(*user))?,
        kind: Kind::from_u8(*kind)?,
        channel: ChannelId::new(u64::from_be_bytes(channel.try_into().ok()?))?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> impl Strategy<Value = Key> {
        (1..=u64::MAX, prop::sample::select(&Kind::ALL[..]), 1..=u64::MAX).prop_map(
            |(user, kind, channel)| Key {
                user: UserId::new(user).expect("not 0"),
                kind,
                channel: ChannelId::new(channel).expect("not 0"),
            },
        )
    }

    proptest! {
        #[test]
        fn bytes_sort_as_keys_do_and_come_back(a in keys(), b in keys()) {
            prop_assert_eq!(sort_key(&a).cmp(&sort_key(&b)), a.cmp(&b));
            prop_assert_eq!(from_sort_key(&sort_key(&a)).expect("a key"), a);
        }
    }

    #[test]
    fn bytes_of_no_key_are_refused() {
        let key = Key::channel(UserId::new(1).expect("1"), ChannelId::new(2).expect("2"));
        let good = sort_key(&key);
        for wrong in [0..8, 8..9, 9..17] {
            let mut bytes = good;
            bytes[wrong].fill(0);
            assert!(matches!(from_sort_key(&bytes), Err(StoreError::Corrupt(_))));
        }
        assert!(from_sort_key(&good[..16]).is_err());
        assert!(from_sort_key(&[&good[..], &[0]].concat()).is_err());
    }
}
