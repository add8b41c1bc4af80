//! A device: what it holds of its users, and how it keeps up.

use std::collections::BTreeMap;

use rand::{Rng as _, rngs::StdRng};
use readstates::{
    engine::{Error, WatchFrom, WatchTarget},
    model::{Cause, UserId, Version},
};

use crate::{
    answers::Answers,
    copy::Copy,
    listing::{Listing, Paged},
    node::Node,
    stream::Stream,
    tally::Tally,
    trace::Trace,
};

/// Rows on a page of a device that wants few.
const PAGE_ROWS_MAX: usize = 4;

/// One that reads and never writes.
pub struct Device {
    pub copies: BTreeMap<UserId, Copy>,
    pub stream: Option<Stream>,
    pub listing: Option<Listing>,
    trace: Trace,
}

impl Device {
    /// One of so many users, who have the ids from 1 on.
    pub fn new(users: u64, trace: Trace) -> Self {
        let user = |id| UserId::new(id).expect("not 0");
        let copies = (1..=users).map(|id| (user(id), Copy::default())).collect();
        Self { copies, stream: None, listing: None, trace }
    }

    /// Watches all of its users, unless it does; `may_resync` where deltas may not be to be had.
    pub fn connect(&mut self, node: &Node, random: &mut StdRng, may_resync: bool) {
        if self.stream.is_some() {
            return;
        }
        let mut targets = Vec::new();
        for (user, copy) in &mut self.copies {
            let from = match copy.resume() {
                Some(version) if random.random_bool(0.95) => WatchFrom::Version(version),
                // A snapshot follows, which must begin behind it.
                None if self.listing.is_none() && random.random_bool(0.5) => {
                    copy.listen();
                    WatchFrom::Now
                }
                _ => WatchFrom::Version(Version::ZERO),
            };
            self.trace.note(|| format!("watches {user} {from:?}"));
            targets.push(WatchTarget { user: *user, from });
        }
        self.stream = Some(Stream::begin(node, &targets, may_resync));
    }

    /// Begins a list of one of its users, or asks for the next page.
    pub fn list(&mut self, node: &Node, random: &mut StdRng) {
        if self.listing.is_none() {
            let user = UserId::new(random.random_range(1..=self.copies.len() as u64));
            let user = user.expect("not 0");
            if !self.may_list(user) {
                return;
            }
            let page_size = random.random_range(1..=PAGE_ROWS_MAX);
            let resume = self.copies[&user].resume().filter(|_| random.random_bool(0.8));
            self.listing = Some(Listing::begin(user, resume.unwrap_or_default(), page_size));
        }
        if let Some(listing) = &mut self.listing {
            listing.ask(node);
        }
    }

    /// A snapshot that is to fit a stream begins once that stream has.
    fn may_list(&self, user: UserId) -> bool {
        let stream = self.stream.as_ref();
        self.copies[&user].resume().is_some()
            || stream.is_none_or(|stream| stream.orders[&user].is_live())
    }

    /// Takes in up to so many of the events it received, and the page, if one has arrived.
    pub fn take(&mut self, events: usize, answers: &mut Answers, tally: &mut Tally) {
        for _ in 0..events {
            if !self.take_event(answers, tally) {
                break;
            }
        }
        let Some(listing) = &mut self.listing else { return };
        let copy = self.copies.get_mut(&listing.user).expect("its own");
        let paged = listing.take(copy, |key, view| answers.note(key, view, None));
        tally.pages += u64::from(paged.is_some());
        self.trace.note(|| format!("{paged:?} of the list of {}", listing.user));
        if matches!(paged, Some(Paged::Done | Paged::Void)) {
            self.listing = None;
        }
    }

    fn take_event(&mut self, answers: &mut Answers, tally: &mut Tally) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let Some(next) = stream.next() else {
            if stream.is_over() {
                self.stream = None;
            }
            return false;
        };
        let event = match next {
            Ok(event) => event,
            Err(error) => {
                self.trace.note(|| format!("the stream ends: {error}"));
                tally.overflows += u64::from(matches!(error, Error::SlowConsumer));
                self.stream = None;
                return false;
            }
        };
        tally.event(&event);
        self.trace.note(|| format!("{event:?}"));
        if let Some((key, view)) = event.state {
            let cause = Some(event.cause).filter(|cause| *cause != Cause::CatchUp);
            answers.note(key, view, cause);
        }
        if event.cause == Cause::Resync
            && self.listing.as_ref().is_some_and(|listing| listing.user == event.user)
        {
            // It may be from before what was dropped.
            self.listing = None;
        }
        self.copies.get_mut(&event.user).expect("its own").take(&event);
        true
    }

    /// Gives its stream up, with what was received and not taken.
    pub fn hang_up(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.cut();
        }
    }

    /// The process that it talked to is gone.
    pub fn cut(&mut self) {
        if let Some(stream) = &self.stream {
            stream.cut();
        }
        if let Some(listing) = &mut self.listing {
            listing.cut();
        }
    }
}
