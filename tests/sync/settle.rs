//! Everything comes to rest: then each device holds what the server has, and every stream has told
//! of all that was answered.

use std::collections::BTreeMap;

use rand::Rng as _;
use readstates::model::{Key, UserId, Version, View};

use crate::{
    copy::Copy,
    listing::{Listing, Paged},
    world::World,
};

/// Turns in which everything that is under way has to come to its end.
const TURNS_MAX: u32 = 60_000;
/// Turns without anything new after which nothing more comes.
const QUIET_TURNS: u32 = 60;
/// Turns without anything new after which only time can help.
const STALLED_TURNS: u32 = 60;
/// Longer than any wait of the engine or the flusher, in so many steps.
const PATIENCE_MS: u64 = 500;
const READ_ALL: usize = 1_000;

impl World {
    /// Turns until `done`; time goes on while nothing else does.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        for turn in 1..=TURNS_MAX {
            if done(self) {
                return;
            }
            self.node().turn();
            if turn % 2 == 0 {
                self.node().write();
            }
            if turn % STALLED_TURNS == 0 {
                self.ground.time.advance_ms(PATIENCE_MS);
                self.node().advance(PATIENCE_MS);
            }
            self.hear();
        }
        panic!("{what} does not come to its end");
    }

    /// Every call is answered and every answer durable.
    pub fn rest(&mut self) {
        // What a call that was given up asked for may still be done by the load that it began.
        let mut quiet = 0;
        self.until("a call", |world| {
            let still = !world.is_calling() && world.node().loads() == 0;
            quiet = if still { quiet + 1 } else { 0 };
            quiet >= QUIET_TURNS
        });
        while self.node().write() {}
    }

    /// Everything is in the store.
    pub fn flush_all(&mut self) {
        self.until("a flush", |world| {
            world.node().nudge();
            world.node().is_clean()
        });
    }

    /// Lets everything come to rest, and compares.
    pub fn settle(&mut self) {
        self.rest();
        for device in 0..self.devices.len() {
            self.finish_list(device);
            if self.random.random_bool(0.7) {
                self.finish_stream(device);
            } else {
                self.finish_by_lists(device);
            }
        }
        self.compare();
        self.node().self_check();
        self.tally.settled += 1;
    }

    fn finish_list(&mut self, device: usize) {
        self.until("a list", |world| {
            world.take(device, 0);
            let node = world.node.as_ref().expect("it serves");
            let Some(listing) = &mut world.devices[device].listing else { return true };
            listing.ask(node);
            false
        });
    }

    fn take(&mut self, device: usize, events: usize) {
        self.devices[device].take(events, &mut self.answers, &mut self.tally);
    }

    /// Reads until nothing more comes. Where the device did not follow from the beginning, it has
    /// a snapshot behind that.
    fn finish_stream(&mut self, device: usize) {
        let mut quiet = 0;
        self.until("a stream", |world| {
            world.connect(device);
            let stream = world.devices[device].stream.as_ref().expect("it is connected");
            stream.read(READ_ALL);
            let still = stream.is_live() && stream.received() == 0 && !stream.is_over();
            quiet = if still { quiet + 1 } else { 0 };
            world.take(device, READ_ALL);
            quiet >= QUIET_TURNS
        });
        let stream = self.devices[device].stream.as_ref().expect("it is connected");
        for (user, order) in &stream.orders {
            self.tally.checked += self.answers.assert_told(*user, order) as u64;
        }
        for (user, copy) in self.devices[device].copies.clone() {
            if copy.resume().is_none() {
                self.list_whole(device, user, Version::ZERO);
            }
        }
    }

    fn finish_by_lists(&mut self, device: usize) {
        // It may be in the middle of a catch-up, or begin behind the snapshot.
        self.take(device, READ_ALL);
        self.devices[device].hang_up();
        for (user, copy) in self.devices[device].copies.clone() {
            self.list_whole(device, user, copy.resume().unwrap_or_default());
        }
    }

    fn list_whole(&mut self, device: usize, user: UserId, since: Version) {
        let page_size = self.random.random_range(1..50);
        let mut copy = self.devices[device].copies[&user].clone();
        self.list(&mut copy, user, since, page_size);
        self.devices[device].copies.insert(user, copy);
    }

    fn list(
        &mut self,
        copy: &mut Copy,
        user: UserId,
        since: Version,
        page_size: usize,
    ) -> BTreeMap<Key, View> {
        let mut listing = Listing::begin(user, since, page_size);
        self.until("a list", |world| {
            listing.ask(world.node());
            let paged = listing.take(copy, |key, view| world.answers.note(key, view, None));
            if paged == Some(Paged::Void) {
                listing = Listing::begin(user, since, page_size);
            }
            paged == Some(Paged::Done)
        });
        listing.rows().clone()
    }

    fn compare(&mut self) {
        for id in 1..=self.plan.users {
            let user = UserId::new(id).expect("not 0");
            let page_size = self.random.random_range(1..50);
            let states = self.list(&mut Copy::default(), user, Version::ZERO, page_size);
            for (number, device) in self.devices.iter().enumerate() {
                let held = device.copies[&user].states();
                assert_eq!(held, states, "device {number} of {user}");
            }
        }
    }
}
