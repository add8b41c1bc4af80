//! readstates remembers, for every user and channel, what has been read and how many mentions wait.
//!
//! # Rooms, from the top; each imports only those below it
//!
//! | room | what it is |
//! |---|---|
//! | [`cli`] | the subcommands besides `serve`: gRPC clients |
//! | [`server`] | assembly, and the order of starting and stopping |
//! | [`edge`] | the gRPC port from outside: who may connect, TLS, HTTP/2, and for how long |
//! | [`rpc`], [`admin`] | what the gRPC port answers; metrics and probes on their own port |
//! | [`doors`] | who may call what |
//! | [`engine`] | the verbs: hit, single-flight load, list with overlay |
//! | [`flush`] | write-behind: collect due, commit, settle; lets the journal go |
//! | [`journal`] | the crash journal: append, group commit, segments, recovery |
//! | [`cache`] | shards of LRUs with dirty index, victims and load tickets |
//! | [`lease`] | one writer at a time on a keyspace that several services can reach |
//! | [`store`] | where rows rest: embedded on the local disk, in memory, or in a cluster |
//! | [`traces`] | the span of a sampled call, with the feature `otel` |
//! | [`logging`], [`metrics`], [`lifecycle`], [`clock`], [`config`] | what every room may use |
//! | [`model`] | the read state and its pure transitions |
//!
//! # Threads
//!
//! ```text
//! main            accept -> deal to those that serve; admin port, signals
//! serving-0, ...  rpc -> engine -> cache (lock of one stripe)        hit: no await, no allocation
//!                            |        \-> journal's tail              a copy of the post-state
//!                            |-> load task -> store                  miss: once per key
//!                            \-> wait until the record is durable    answered after that
//! journal-writer  tail -> write, fdatasync -> wake the herald        one group at a time
//! journal-spare   prepares the next segment
//! flusher         cache -> store.commit -> cache.settle              one commit at a time
//!                 store.persist -> journal.advance                   what is not needed goes
//! store-writer    commits, deletions, ceilings, in order             embedded store only
//! store-reader    loads and scans, a few threads                     embedded store only
//! ```
//!
//! # Locks
//!
//! A few shards, a stripe, share a lock. It is held for one access or at most 256 keys; nobody
//! awaits, does I/O or logs under it, and never are two stripes locked at once. The lock of the
//! journal's tail is taken under it, for a copy into room that was reserved before, never the other
//! way round; so is that of the queue of a watch, which a change is put into in the order of
//! versions. Whoever waits for such a queue is woken after the stripe's lock is released. The
//! loader's table of flights is never locked together with a stripe.
//!
//! # Invariants
//!
//! Cited by number where they are kept:
//!
//! - **I1** lock rules, as above; heap parts are freed after the lock.
//! - **I2** a key is absent, in an LRU or among the victims; victims count against the capacity.
//! - **I3** a dirty state leaves memory only after the store confirmed its current version.
//! - **I4** a settled commit cleans an entry only if the version is still that one.
//! - **I5** a load is admitted only with a ticket that nothing has voided since; check, admission
//!   and the callers' operations are one critical section.
//! - **I6** dirty states are at most the dirty limit; beyond it keys not yet dirty are refused.
//! - **I7** the journal order of a key is its version order: both are given under one hold.
//! - **I8** nothing is shown that a crash can take back, as far as the durability promises: every
//!   answer waits for the record of what it was derived from, unless the store has that.
//! - **I9** segments of the journal go only as a prefix, and only when every record in them is in
//!   the store and persisted there, or written down anew in a later one.
//! - **I10** after a failed write or sync of the journal nothing is acknowledged: no retry, waiters
//!   are told, the process ends; the next start makes durable anew what it recovered.
//! - **I11** a store that lost confirmed writes is told by its commit number: the journal brings
//!   them back where it reaches back that far, and refuses the store otherwise.
//! - **I12** a key is in at most one commit at a time.
//!
//! # Words
//!
//! A *read state* is kept under a *key* (user, kind, channel). Its *watermark* is `last_acked_id`;
//! its unread mentions are in the *ledger*, or *folded* into a count. A state in memory is
//! *resident*; *dirty* while the store does not have its current version; a *victim* if it was
//! evicted while dirty. A *tombstone* is what a deleted state leaves. A *record* of the journal has
//! a *sequence*; records are made durable in *groups*; the *horizon* is the last record that is not
//! needed any more. The *lease* says which of several services may write to a keyspace: its owner
//! shows by a rising *beat* that it is alive, and each change of the owner begins an *epoch*.

pub mod admin;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod doors;
pub mod edge;
pub mod engine;
pub mod flush;
pub mod journal;
pub mod lease;
pub mod lifecycle;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod rpc;
#[doc(hidden)]
pub mod sabotage;
pub mod server;
pub mod store;
pub mod traces;

/// The contract, generated from what is in `proto/readstates/v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto {
    tonic::include_proto!("readstates.v1");

    /// The contract's descriptors, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] =
        include_bytes!(concat!(env!("OUT_DIR"), "/readstates.v1.bin"));
}
