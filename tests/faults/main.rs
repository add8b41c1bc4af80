//! Engine, cache and flusher together over a store that fails, hangs and forgets when a test says
//! so. Nothing here sleeps: a gate of the store is opened, time is moved, or an event is awaited.

mod apply_stream;
mod clocks;
mod crowd;
mod delete_user;
mod durability;
mod eviction;
mod hanging;
mod journal;
mod keys;
mod loads;
mod merging;
mod node;
mod offers;
mod older;
mod outage;
mod rounds;
mod runtimes;
mod scene;
mod shutdown;
mod small_journal;
mod turns;
mod watching;
mod whole;
mod wire;
mod write_back;
