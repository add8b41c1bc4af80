//! States and messages, and the bytes they are written as.

use prost::Message as _;
use readstates::{
    journal::{Home, JournalId, SegmentId, open_group, put_state},
    model::{ChannelId, Key, Kind, ReadState, UserId},
    proto::{self, AckRequest, AckResponse, ReadStateType},
    store::codec,
};

use crate::{
    OPERATIONS,
    usual::{APART, state},
};

pub const HOME: Home = Home { journal: JournalId(7), segment: SegmentId(3) };

/// Enough for all records in a row: what is measured does not grow it.
const BYTES: usize = 1 << 18;

pub struct Written {
    pub states: Vec<(Key, ReadState)>,
    pub rows: Vec<(Key, Vec<u8>)>,
    pub bytes: Vec<u8>,
}

impl Written {
    /// Usual states, with so many mentions each.
    pub fn new(mentions: u64) -> Self {
        let states: Vec<_> =
            (0..OPERATIONS).map(|number| (key(number), state(number, mentions))).collect();
        let rows = states.iter().map(|(key, state)| (*key, codec::encode(key, state))).collect();
        Self { states, rows, bytes: Vec::with_capacity(BYTES) }
    }

    /// The same, with the records of all in a group that is not closed.
    pub fn group() -> Self {
        let mut written = Self::new(0);
        open_group(&mut written.bytes);
        for (key, state) in &written.states {
            put_state(&mut written.bytes, key, state);
        }
        written
    }
}

fn key(number: u64) -> Key {
    let user = UserId::new(1 + number).expect("not 0");
    let channel = ChannelId::new((1 << 60) + number).expect("not 0");
    Key { user, kind: Kind::Channel, channel }
}

pub fn requests() -> Vec<Vec<u8>> {
    let request = |number| AckRequest {
        user_id: 1 + number,
        channel_id: (1 << 60) + number,
        message_id: (1 << 60) + number * APART,
        ..AckRequest::default()
    };
    (0..OPERATIONS).map(|number| request(number).encode_to_vec()).collect()
}

/// And where to write them.
pub fn responses() -> (Vec<AckResponse>, Vec<u8>) {
    let response = |number| AckResponse {
        state: Some(proto::ReadState {
            user_id: 1 + number,
            channel_id: (1 << 60) + number,
            last_acked_id: (1 << 60) + number * APART,
            version: (1 << 50) + number,
            mentions_exact: true,
            r#type: ReadStateType::Channel.into(),
            ..proto::ReadState::default()
        }),
        changed: true,
    };
    ((0..OPERATIONS).map(response).collect(), Vec::with_capacity(BYTES))
}
