//! Where a user's keys begin and end, for stores that keep rows in key order.

use crate::model::{ChannelId, Key, Kind, UserId};

/// The first and the last key that a user can have.
pub(super) fn user_bounds(user: UserId) -> (Key, Key) {
    const LOWEST: ChannelId = ChannelId::new(1).expect("1 is not 0");
    const HIGHEST: ChannelId = ChannelId::new(u64::MAX).expect("the highest is not 0");
    let [first, .., last] = Kind::ALL;
    (Key { user, kind: first, channel: LOWEST }, Key { user, kind: last, channel: HIGHEST })
}
