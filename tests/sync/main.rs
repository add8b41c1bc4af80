//! Devices that keep up with the server by snapshots, deltas and `Watch`, under a seeded scheduler
//! that draws what happens next: engine, cache, flusher and journal in one thread, without ports,
//! with kills, power cuts, jumps of the clock and queues that overflow. Whatever comes in whatever
//! order, a device ends with what the server has, and its streams have neither gap nor repeat.
//!
//! `READSTATES_TEST_SEED=n` runs that seed alone and tells what happens;
//! `READSTATES_TEST_LONG=1` runs many more.

mod answers;
mod calls;
#[cfg(feature = "sabotage")]
#[path = "../sabotage/child.rs"]
mod child;
mod copy;
mod device;
#[cfg(feature = "sabotage")]
#[path = "../faults/keys.rs"]
#[allow(dead_code, reason = "a few tests of many are taken over")]
mod keys;
mod listing;
#[path = "../simulation/lossy_store.rs"]
#[allow(dead_code, reason = "its failures are the simulation's")]
mod lossy_store;
mod node;
mod order;
mod plan;
#[cfg(feature = "sabotage")]
mod sabotage;
#[cfg(feature = "sabotage")]
#[path = "../faults/scene.rs"]
#[allow(dead_code, reason = "a few tests of many are taken over")]
mod scene;
mod seeds;
mod settle;
mod stream;
mod tally;
#[path = "../simulation/trace.rs"]
mod trace;
#[cfg(feature = "sabotage")]
#[path = "../faults/watching.rs"]
mod watching;
mod world;
