//! One client, which makes one call after the other on states that nobody else changes.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use readstates::proto::{
    AckPinsRequest, AckRequest, DeleteRequest, IncrementRequest, MarkUnreadRequest, ResetRequest,
    operation::Operation,
};

use crate::{
    calls::{Call, End, read_all},
    checker::{Book, Finding, Place},
    crew::Round,
    node::Client,
};

/// Users of one worker lie in one range.
const USERS_MAX: u64 = 1_000;
/// Below what a ledger holds: above it a model would have to know how it overflows.
const HELD_MAX: usize = 100;
/// Changing operations of one `Apply` at most.
const OPERATIONS_MAX: usize = 6;

/// How many states a worker has.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub users: u64,
    pub channels: u64,
}

/// A client and what it knows.
pub struct Worker {
    rng: StdRng,
    book: Book,
    shape: Shape,
    first_user: u64,
    /// The newest message there is.
    message: u64,
    /// Its last call, where that got no answer.
    open: Option<Call>,
    /// What would undo its last call.
    undo: Option<Call>,
}

impl Worker {
    pub fn new(seed: u64, number: u64, shape: Shape) -> Self {
        let first_user = number * USERS_MAX + 1;
        Self {
            rng: StdRng::seed_from_u64(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            book: Book::new(first_user..first_user + shape.users, shape.channels),
            shape,
            first_user,
            message: 1_000,
            open: None,
            undo: None,
        }
    }

    /// Settles what the round before left open, compares everything, and then makes calls until one
    /// gets no answer.
    pub async fn work(&mut self, client: &mut Client, round: &Round) {
        let settled = self.settle(client, round).await;
        if !self.goes_on(round, settled) {
            return;
        }
        while !round.is_over() {
            let call = self.draw();
            let made = call.make(client, &mut self.book).await;
            if matches!(made, Ok(End::Unknown)) && call.is_change() {
                self.open = Some(call.clone());
            }
            if matches!(made, Ok(End::Acknowledged | End::Undoable(_))) && call.is_change() {
                round.acknowledge();
            }
            if !self.goes_on(round, made) {
                return;
            }
        }
    }

    /// Compares everything with what was acknowledged.
    pub async fn compare(&mut self, client: &mut Client) -> Result<End, Finding> {
        read_all(client, &mut self.book).await
    }

    /// Half of the time what is open is tried again before anything is read: whether it was done
    /// before shows in the answer alone, and it must not be done twice.
    async fn settle(&mut self, client: &mut Client, round: &Round) -> Result<End, Finding> {
        let again = self.open.clone().filter(Call::is_positioned);
        let (before, after) = if self.rng.random_bool(0.5) { (again, None) } else { (None, again) };
        if let Some(call) = before
            && let End::Unknown = call.make(client, &mut self.book).await?
        {
            return Ok(End::Unknown);
        }
        if let End::Unknown = self.compare(client).await? {
            return Ok(End::Unknown);
        }
        round.compared();
        if let Some(call) = after
            && let End::Unknown = call.make(client, &mut self.book).await?
        {
            return Ok(End::Unknown);
        }
        self.open = None;
        Ok(End::Acknowledged)
    }

    /// Writes down how a step ended; whether another may follow.
    fn goes_on(&mut self, round: &Round, made: Result<End, Finding>) -> bool {
        self.undo = None;
        match made {
            Ok(End::Acknowledged | End::Refused) => true,
            Ok(End::Undoable(undo)) => {
                self.undo = Some(undo);
                true
            }
            Ok(End::Unknown) => {
                round.cut();
                false
            }
            Err(finding) => {
                round.found(finding);
                false
            }
        }
    }

    fn place(&mut self) -> Place {
        Place {
            user: self.first_user + self.rng.random_range(0..self.shape.users),
            channel: self.rng.random_range(1..=self.shape.channels),
        }
    }

    /// A message among the newest: often one that was there before, at times one that is late.
    fn message(&mut self) -> u64 {
        self.message += self.rng.random_range(0..3);
        self.message - self.rng.random_range(0..20)
    }

    fn draw(&mut self) -> Call {
        let undo = self.undo.take();
        if let Some(undo) = undo.filter(|_| self.rng.random_bool(0.5)) {
            return undo;
        }
        match self.rng.random_range(0..100) {
            0..=54 => {
                let (place, operation) = self.operation();
                Call::One(place, operation)
            }
            55..=62 => {
                let operations = self.rng.random_range(2..=OPERATIONS_MAX);
                Call::Apply((0..operations).map(|_| self.operation()).collect())
            }
            63..=74 => self.fan_out(),
            75..=79 => Call::Retract { places: self.members(), message: self.message() },
            80..=86 => self.bulk_ack(),
            87 => Call::DeleteChannel { places: self.members() },
            88 => Call::DeleteUser(self.place().user),
            89..=93 => Call::List(self.place().user),
            _ => Call::Get(self.place()),
        }
    }

    /// Some of the users, in one channel.
    fn members(&mut self) -> Vec<Place> {
        let channel = loop {
            let place = self.place();
            if place.is_channel() {
                break place.channel;
            }
        };
        let users: Vec<_> = self.book.users().collect();
        let many = self.rng.random_range(1..=users.len());
        let chosen: Vec<_> = users.choose_multiple(&mut self.rng, many).copied().collect();
        chosen.into_iter().map(|user| Place { user, channel }).collect()
    }

    fn fan_out(&mut self) -> Call {
        let mut places = self.members();
        let message = self.message();
        let initial = self.rng.random_bool(0.3).then(|| message - self.rng.random_range(0..9));
        places.retain(|place| !self.is_full(*place));
        match places.is_empty() {
            true => self.bulk_ack(),
            false => Call::FanOut { places, message, initial },
        }
    }

    fn bulk_ack(&mut self) -> Call {
        let user = self.place().user;
        let channels: Vec<_> = (1..=self.shape.channels).collect();
        let many = self.rng.random_range(1..=channels.len());
        let chosen: Vec<_> = channels.choose_multiple(&mut self.rng, many).copied().collect();
        let acks = chosen.into_iter().map(|channel| (Place { user, channel }, self.message()));
        Call::BulkAck(acks.collect())
    }

    /// Whether one mention more might be too many for the ledger, whatever the state is.
    fn is_full(&self, place: Place) -> bool {
        self.book.candidates(place).iter().any(|candidate| candidate.model.held() >= HELD_MAX)
    }

    fn operation(&mut self) -> (Place, Operation) {
        let place = self.place();
        let operation = match self.rng.random_range(0..20) {
            0..=9 if !self.is_full(place) => self.increment(place),
            0..=13 => self.ack(place),
            14..=15 => self.mark_unread(place),
            16 => Operation::AckPins(AckPinsRequest {
                user_id: place.user,
                channel_id: place.channel,
                pinned_at_ms: self.message(),
                r#type: place.kind(),
            }),
            17 => Operation::Reset(ResetRequest {
                user_id: place.user,
                channel_id: place.channel,
                expected_version: self.guard(place),
                r#type: place.kind(),
            }),
            _ => Operation::Delete(DeleteRequest {
                user_id: place.user,
                channel_id: place.channel,
                expected_version: self.guard(place),
                r#type: place.kind(),
            }),
        };
        (place, operation)
    }

    /// At times none, at times the right one, at times a wrong one.
    fn guard(&mut self, place: Place) -> Option<u64> {
        let known = self.book.candidates(place)[0].version();
        match self.rng.random_range(0..4) {
            0 => known,
            1 => known.map(|version| version.saturating_sub(1)),
            _ => None,
        }
    }

    fn increment(&mut self, place: Place) -> Operation {
        let positioned = self.rng.random_bool(0.8);
        let message_id = if positioned { self.message() } else { 0 };
        Operation::Increment(IncrementRequest {
            user_id: place.user,
            channel_id: place.channel,
            message_id,
            count: if positioned { 0 } else { self.rng.random_range(1..4) },
            initial_acked_id: self.rng.random_bool(0.1).then(|| self.message - 30),
            r#type: place.kind(),
        })
    }

    fn ack(&mut self, place: Place) -> Operation {
        let (flags, day) = (self.rng.random_range(0..1_000), self.rng.random_range(0..20_000_000));
        Operation::Ack(AckRequest {
            user_id: place.user,
            channel_id: place.channel,
            message_id: self.message(),
            flags: self.rng.random_bool(0.2).then_some(flags),
            last_viewed_day: self.rng.random_bool(0.2).then_some(day),
            expected_version: self.guard(place).filter(|_| self.rng.random_bool(0.3)),
            r#type: place.kind(),
        })
    }

    fn mark_unread(&mut self, place: Place) -> Operation {
        let count = self.rng.random_range(0..9);
        Operation::MarkUnread(MarkUnreadRequest {
            user_id: place.user,
            channel_id: place.channel,
            message_id: self.message() - self.rng.random_range(0..30),
            mention_count: self.rng.random_bool(0.5).then_some(count),
            expected_version: self.guard(place).filter(|_| self.rng.random_bool(0.3)),
            r#type: place.kind(),
        })
    }
}
