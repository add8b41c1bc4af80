//! Cache, journal and flusher over a disk and a store that fail, under a scheduler that draws what
//! happens next from a seed: single-threaded, without timers, the same every time. Power cuts come
//! between any two calls of the disk; calls, passes, loads and commits meet at every await.
//!
//! `READSTATES_TEST_SEED=n` runs that seed alone and tells what happens;
//! `READSTATES_TEST_LONG=1` runs a hundred times as many.

mod client;
mod endings;
mod history;
mod life;
mod lossy_store;
mod plan;
mod retirement;
mod seeds;
mod tally;
mod tasks;
mod trace;
mod trouble;
mod wish;
mod world;
