//! Deliberate faults, to show that the tests would notice each of them. Nothing but a test build
//! with the feature `sabotage` has any; without it every question here is a constant `false`.
//!
//! `READSTATES_SABOTAGE` chooses the one fault that a process has.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the feature `sabotage` breaks the program on purpose: never in a release");

#[cfg(all(feature = "sabotage", feature = "shuttle"))]
compile_error!("the features `sabotage` and `shuttle` are for two different tests");

/// Makes the faults from entries of the form `/// what is wrong` `Name "name"`.
macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident $name:literal;)+) => {
        /// Something that a careless change could do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $($(#[doc = $doc])+ $fault,)+
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &[Self] = &[$(Self::$fault,)+];

            /// How it is chosen.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)+
                }
            }
        }
    };
}

faults! {
    /// A group is acknowledged before it is written and synced.
    AckBeforeSync "ack-before-sync";
    /// A group is taken for whole whatever its checksum says.
    NoChecksum "no-checksum";
    /// The checksum of a group does not cover the segment that it belongs to.
    ChecksumWithoutSegment "checksum-without-segment";
    /// Names of files are not synced.
    NoFolderSync "no-folder-sync";
    /// A sync that failed is tried once more, and believed.
    RetryFailedSync "retry-failed-sync";
    /// The journal lets go what the store has confirmed but not persisted.
    AdvanceUnpersisted "advance-unpersisted";
    /// The journal lets go what the store has not even confirmed.
    AdvanceUnconfirmed "advance-unconfirmed";
    /// The journal lets go everything before the last unsaved change, not before the first.
    HorizonFromLast "horizon-from-last";
    /// A dirty entry is dropped when it is evicted.
    EvictDirty "evict-dirty";
    /// A record whose caller went away is not written.
    DropOnCancel "drop-on-cancel";
    /// A commit cleans a state that was changed since.
    SettleAnyVersion "settle-any-version";
    /// A replay adds to what is there instead of replacing it.
    ReplayAdds "replay-adds";
    /// What a start has read is served without being made durable once more.
    NoRepersist "no-repersist";
    /// A state is shown before its record is durable.
    ShowUndurable "show-undurable";
    /// The store gets what is not durable in the journal.
    CommitUndurable "commit-undurable";
    /// A load is admitted though its key was touched meanwhile.
    StaleLoad "stale-load";
    /// A start forgets how far versions had risen.
    CeilingForgotten "ceiling-forgotten";
    /// A checkpoint leaves out what the store has confirmed but not persisted.
    CheckpointDirtyOnly "checkpoint-dirty-only";
    /// A replay lets the journal go before it has ended.
    ReplayLetsGo "replay-lets-go";
    /// A change that is made just before its user is watched is told by nobody.
    WatchForgets "watch-forgets";
    /// A catch-up tells what the cache tells too.
    WatchRepeats "watch-repeats";
    /// A catch-up tells of states in the order of their keys.
    WatchUnordered "watch-unordered";
    /// A watch tells what a crash can take back.
    WatchUndurable "watch-undurable";
    /// A delta leaves out deletions.
    WatchRevives "watch-revives";
    /// A change that finds no room is dropped, and the watch goes on.
    WatchSkips "watch-skips";
    /// Who does not watch any more is told on.
    WatchStays "watch-stays";
    /// Who watches is not told that the user was deleted.
    WatchKeepsUser "watch-keeps-user";
}

/// Whether this process has the fault.
#[cfg(not(feature = "sabotage"))]
#[inline]
pub const fn is(_: Fault) -> bool {
    false
}

#[cfg(feature = "sabotage")]
pub use chosen::{is, note, noted};

/// Remembers a number for a fault that needs one.
#[cfg(not(feature = "sabotage"))]
#[inline]
pub const fn note(_: u64) {}

/// What was remembered.
#[cfg(not(feature = "sabotage"))]
#[inline]
pub const fn noted() -> u64 {
    0
}

#[cfg(feature = "sabotage")]
mod chosen {
    use std::{
        env,
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    use crate::sabotage::Fault;

    static CHOSEN: OnceLock<Option<Fault>> = OnceLock::new();
    static NOTED: AtomicU64 = AtomicU64::new(0);

    /// Whether this process has the fault.
    pub fn is(fault: Fault) -> bool {
        *CHOSEN.get_or_init(choose) == Some(fault)
    }

    fn choose() -> Option<Fault> {
        let name = env::var("READSTATES_SABOTAGE").ok()?;
        let chosen = Fault::ALL.iter().find(|fault| fault.name() == name);
        assert!(chosen.is_some(), "READSTATES_SABOTAGE={name} is no fault");
        chosen.copied()
    }

    /// Remembers a number for a fault that needs one.
    pub fn note(number: u64) {
        NOTED.store(number, Ordering::Relaxed);
    }

    /// What was remembered.
    pub fn noted() -> u64 {
        NOTED.load(Ordering::Relaxed)
    }
}
