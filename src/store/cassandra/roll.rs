//! Who has rows, in the order of their ids: the cluster's own order is that of its ring.
//!
//! A walk through everything needs users in order. So all of them are read, and as many of the next
//! ones are kept as memory allows; behind those the users are read again. With a million at a time
//! ten million users are read eleven times in one walk: their ids alone, not their rows.

use std::collections::BinaryHeap;

use scylla::value::CqlVarint;
use tokio::sync::Mutex;

use super::{number::number, requests::Requests};
use crate::{model::UserId, store::StoreError};

/// Users that are kept at most.
const USERS_MAX: usize = 1 << 20;
/// Memory for that many, while they are gathered and once they are sorted.
pub(super) const ROLL_BYTES_MAX: u64 = 2 * 8 * USERS_MAX as u64;

/// Some users in order. Walks that are at different places replace each other's.
#[derive(Default)]
pub(super) struct Roll(Mutex<Part>);

/// All users above `from`, up to the last one given; up to all where it is the end.
#[derive(Default)]
struct Part {
    from: Option<UserId>,
    users: Vec<UserId>,
    is_end: bool,
    is_read: bool,
}

impl Part {
    /// Where those above `after` begin, if they are among these.
    fn place(&self, after: Option<UserId>) -> Option<usize> {
        let place = self.users.partition_point(|user| Some(*user) <= after);
        let is_covered = self.is_read && self.from <= after;
        (is_covered && (place < self.users.len() || self.is_end)).then_some(place)
    }
}

impl Roll {
    /// Up to `limit` users above `after`, in order; from the lowest on where there is none, and
    /// then as they are now. None is the end.
    pub(super) async fn next(
        &self,
        requests: &Requests,
        after: Option<UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, StoreError> {
        let mut part = self.0.lock().await;
        let place = match part.place(after) {
            // A walk that begins has to find everyone who is there when it does.
            Some(place) if after.is_some() => place,
            _ => {
                *part = read(requests, after, USERS_MAX).await?;
                0
            }
        };
        Ok(part.users.iter().skip(place).take(limit).copied().collect())
    }
}

/// The lowest `most` users above `from`.
async fn read(requests: &Requests, from: Option<UserId>, most: usize) -> Result<Part, StoreError> {
    let mut lowest = BinaryHeap::new();
    let mut is_end = true;
    let select = &requests.statements.select_users;
    let each = |(user,): &(CqlVarint,)| {
        let user = number(user).and_then(UserId::new).filter(|user| Some(*user) > from);
        is_end &= !gather(&mut lowest, user, most);
        false
    };
    requests.read_some::<(CqlVarint,)>(select, (), usize::MAX, each).await?;
    Ok(Part { from, users: lowest.into_sorted_vec(), is_end, is_read: true })
}

/// Adds a user to the lowest; whether one had to be left out.
fn gather(lowest: &mut BinaryHeap<UserId>, user: Option<UserId>, most: usize) -> bool {
    lowest.extend(user);
    lowest.len() > most && lowest.pop().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u64) -> UserId {
        UserId::new(id).expect("not 0")
    }

    #[test]
    fn the_lowest_stay_and_it_is_told_that_others_were_left_out() {
        let mut lowest = BinaryHeap::new();
        let left_out: Vec<bool> =
            [5, 1, 4, 2].map(|id| gather(&mut lowest, Some(user(id)), 2)).to_vec();
        assert_eq!(left_out, [false, false, true, true]);
        assert_eq!(lowest.into_sorted_vec(), [user(1), user(2)]);
    }

    #[test]
    fn a_part_answers_for_what_it_covers_and_nothing_else() {
        let users = vec![user(5), user(7)];
        let mut part = Part { from: Some(user(3)), users, is_end: false, is_read: true };
        let places = |part: &Part| [2, 3, 5, 6, 7].map(|id| part.place(Some(user(id))));
        assert_eq!(places(&part), [None, Some(0), Some(1), Some(1), None]);
        part.is_end = true;
        assert_eq!(places(&part), [None, Some(0), Some(1), Some(1), Some(2)]);
        assert_eq!(Part::default().place(None), None);
    }
}
