//! What goes wrong with the store, the disk and the clock while the process serves.

use rand::Rng as _;
use readstates::{
    journal::DiskCall,
    model::{ChannelId, Key, UserId},
    store::{Call, Moment, StoreError},
};

use crate::world::World;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
/// How far the wall clock is set back or forth.
const JUMP_US: u64 = 3_600_000_000;

const STORE_CALLS: [Call; 6] =
    [Call::Load, Call::LoadUser, Call::Commit, Call::Commit, Call::Persist, Call::DeleteUser];

const DISK_CALLS: [DiskCall; 7] = [
    DiskCall::Write,
    DiskCall::SyncData,
    DiskCall::SyncAll,
    DiskCall::SyncFolder,
    DiskCall::Create,
    DiskCall::Rename,
    DiskCall::Remove,
];

fn outage() -> StoreError {
    StoreError::Unavailable("an outage".to_owned())
}

impl World {
    fn store_call(&mut self) -> Call {
        STORE_CALLS[self.random.random_range(0..STORE_CALLS.len())]
    }

    pub fn fail_store(&mut self) {
        let (call, kind) = (self.store_call(), self.random.random_range(0..20));
        let times = self.random.random_range(1..4);
        self.trace.note(|| format!("store fails: kind {kind}, {call:?}, {times} times"));
        match kind {
            0..10 => self.up().life.faults.fail_next(call, times, outage()),
            10..16 => {
                let user = UserId::new(self.random.random_range(1..=self.plan.users));
                let channel = ChannelId::new(self.random.random_range(1..=self.plan.channels));
                let (user, channel) = (user.expect("not 0"), channel.expect("not 0"));
                self.up().life.faults.fail_keys([Key::channel(user, channel)]);
            }
            16..19 => self.lossy.cut_next_deletion(times as usize),
            _ => self.lossy.poison(),
        }
    }

    pub fn hold_store(&mut self) {
        let call = self.store_call();
        let moment = if self.random.random_bool(0.5) { Moment::Before } else { Moment::After };
        self.trace.note(|| format!("store hangs: {moment:?} {call:?}"));
        let up = self.up();
        up.gates.push(up.life.faults.hold_next(call, moment));
    }

    pub fn heal_store(&mut self) {
        self.trace.note(|| "store heals".to_owned());
        let up = self.up();
        up.life.faults.heal();
        up.gates.clear();
    }

    pub fn fail_disk(&mut self) {
        let call = DISK_CALLS[self.random.random_range(0..DISK_CALLS.len())];
        let nth = self.random.random_range(1..12);
        let cut = self.random.random_bool(0.3);
        self.trace.note(|| format!("disk fails: {call:?} number {nth}, cut {cut}"));
        self.disk_fails = true;
        if call == DiskCall::Write && cut {
            let bytes = self.random.random_range(0..400);
            self.disk.faults().cut_write(nth, bytes, EIO);
        } else {
            self.disk.faults().fail(call, nth, EIO);
        }
    }

    pub fn fill_disk(&mut self) {
        let kind = self.random.random_range(0..6);
        self.trace.note(|| format!("disk fills: kind {kind}"));
        let (disk, reserve) = (&self.disk, self.plan.journal.reserve_bytes);
        match kind {
            0 => disk.set_free_bytes(reserve / 2),
            1 => disk.set_free_bytes(reserve),
            2 => {
                self.disk_fails = true;
                disk.faults().fail_all_on(DiskCall::Write, "spare.new", ENOSPC);
            }
            3 => {
                self.disk_fails = true;
                disk.faults().fail_on(DiskCall::Write, "manifest.new", 1, ENOSPC);
            }
            _ => self.mend_disk(),
        }
    }

    pub fn mend_disk(&mut self) {
        self.disk.set_free_bytes(u64::MAX);
        self.disk.faults().mend();
        self.disk_fails = false;
    }

    /// Nothing reaches the disk from some call on, and soon the power goes: so a cut can come
    /// between any two calls.
    pub fn stop_disk(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let calls = self.random.random_range(0..12);
        self.trace.note(|| format!("disk stops after {calls} calls"));
        self.disk.faults().stop_after(calls);
        self.disk_fails = true;
        self.stopping = Some(self.random.random_range(1..150));
    }

    pub fn set_clock(&mut self) {
        let now_us = readstates::clock::Clock::manual(self.time.clone()).wall_us();
        let jump_us = self.random.random_range(0..JUMP_US);
        let back = self.random.random_bool(0.8);
        let to_us = if back { now_us - jump_us } else { now_us + jump_us / 60 };
        self.trace.note(|| format!("clock set to {to_us}, back {back}"));
        self.time.set_wall_us(to_us);
    }
}
