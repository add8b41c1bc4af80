//! `BulkAck`: many channels of one user in one pass.

use std::collections::HashMap;

use super::{Engine, Error, Order};
use crate::{
    cache::{Access, Done},
    model::{Key, MessageId, Operation},
};

impl Engine {
    /// Acks each of these keys of one user. Of several acks for a key only the largest counts; the
    /// others answer the same state, unchanged.
    pub async fn bulk_ack(&self, acks: &[(Key, MessageId)]) -> Vec<Result<Done, Error>> {
        let mut largest: HashMap<Key, usize> = HashMap::with_capacity(acks.len());
        for (place, (key, message)) in acks.iter().enumerate() {
            let best = largest.entry(*key).or_insert(place);
            if *message > acks[*best].1 {
                *best = place;
            }
        }
        let mut places: Vec<usize> = largest.values().copied().collect();
        places.sort_unstable();
        let accesses: Vec<(Key, Access)> = places.iter().map(|place| ack(acks[*place])).collect();
        let results = self.access_many(accesses, Order::Any).await;
        let by_key: HashMap<Key, &Result<Done, Error>> =
            places.iter().map(|place| acks[*place].0).zip(&results).collect();
        let answer = |(place, (key, _)): (usize, &(Key, MessageId))| {
            let mut result = by_key[key].clone();
            if let Ok(done) = &mut result {
                done.changed &= largest[key] == place;
            }
            result
        };
        acks.iter().enumerate().map(answer).collect()
    }
}

fn ack((key, message): (Key, MessageId)) -> (Key, Access) {
    let operation = Operation::Ack { message, flags: None, last_viewed_day: None };
    (key, Access::Update(operation.into()))
}
