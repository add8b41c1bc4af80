//! States by number, fifty channels a user.

use readstates::proto::AckRequest;

const CHANNELS_PER_USER: u64 = 50;
/// As many connections as clients of a gateway have.
pub const CONNECTIONS: usize = 4;

pub fn request(key: u64, message_id: u64) -> AckRequest {
    AckRequest {
        user_id: key / CHANNELS_PER_USER + 1,
        channel_id: key % CHANNELS_PER_USER + 1,
        message_id,
        ..AckRequest::default()
    }
}
