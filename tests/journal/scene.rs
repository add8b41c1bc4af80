//! A journal at work on a simulated disk, beside a plain list of what was appended to it.

use std::sync::Arc;

use futures_util::FutureExt as _;
use readstates::{
    journal::{
        Heal, Journal, JournalError, JournalOptions, Record, Recovery, Reservation, SimulatedDisk,
        Step, Writer,
    },
    model::{Sequence, Version},
    store::CommitNumber,
    store::StoreIdentity,
};

pub const STORE: StoreIdentity = StoreIdentity { id: 5, commits: CommitNumber(0), upto: None };

/// The smallest segments that there are, and nothing kept beyond what is needed.
pub const TINY: JournalOptions = JournalOptions {
    segment_bytes: 0,
    pending_bytes_max: usize::MAX,
    size_bytes: 0,
    reserve_bytes: 0,
};

/// What a start must bring back.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Every record in order, from the first; what was not acknowledged may be missing later.
    pub written: Vec<(Sequence, Record)>,
    /// Up to here it was acknowledged, or recovered and so served.
    pub acknowledged: Sequence,
    /// The newest horizon that was asked for.
    pub horizon: Sequence,
    /// The commits that the store has persisted.
    pub commits: CommitNumber,
}

impl Default for Truth {
    fn default() -> Self {
        let (acknowledged, horizon) = (Sequence::ZERO, Sequence::ZERO);
        Self { written: Vec::new(), acknowledged, horizon, commits: CommitNumber(0) }
    }
}

impl Truth {
    fn store(&self) -> StoreIdentity {
        StoreIdentity { commits: self.commits, ..STORE }
    }

    /// Reads the journal on `disk` as a start does. Whatever it gives was appended in this order,
    /// with nothing between left out, and everything acknowledged is among it or below a horizon
    /// that was asked for.
    pub fn check(&self, disk: &SimulatedDisk, what: &str) -> Result<Recovery, JournalError> {
        let mut recovery = Recovery::open(Arc::new(disk.clone()), TINY)?;
        assert_eq!(recovery.check_store(self.store())?, Heal::InStep, "{what}");
        let mut last = None;
        recovery.replay::<JournalError>(&mut |sequence, record| {
            let first = self.horizon.next();
            assert!(last.map_or(sequence <= first, |last: Sequence| sequence == last.next()));
            let expected = sequence.as_u64() as usize - 1;
            assert_eq!(self.written.get(expected), Some(&(sequence, record)), "{what}");
            last = Some(sequence);
            Ok(())
        })?;
        let last = last.unwrap_or_default().max(self.horizon);
        assert!(last >= self.acknowledged, "{what}: {last} of {} came back", self.acknowledged);
        Ok(recovery)
    }
}

pub struct Scene {
    pub journal: Journal,
    pub writer: Writer,
    pub truth: Truth,
    /// The highest one appended or found.
    ceiling: Version,
}

impl Scene {
    /// A new journal on a new disk.
    pub fn new(options: JournalOptions) -> (Self, SimulatedDisk) {
        let disk = SimulatedDisk::default();
        let scene = Self::begin(&disk, options, Truth::default()).expect("a new journal");
        (scene, disk)
    }

    /// Goes on with the journal on `disk`, after a look whether it holds what it should.
    pub fn begin(
        disk: &SimulatedDisk,
        options: JournalOptions,
        mut truth: Truth,
    ) -> Result<Self, JournalError> {
        drop(truth.check(disk, "at the start")?);
        let mut recovery = Recovery::open(Arc::new(disk.clone()), options)?;
        recovery.check_store(truth.store())?;
        let ceiling = recovery.ceiling();
        let (journal, writer) = recovery.begin()?;
        drop(recovery);
        truth.written.truncate(journal.last().as_u64() as usize);
        assert_eq!(journal.durable(), journal.last());
        truth.acknowledged = journal.last();
        Ok(Self { journal, writer, truth, ceiling })
    }

    pub fn reserve(&self, records: usize) -> Result<Reservation, JournalError> {
        self.journal.reserve(records).now_or_never().expect("there is room, or there never is")
    }

    /// Appends one record. Where there is no room yet, the writer is given a step to make some.
    pub fn append(&mut self, record: Record) -> Result<Sequence, JournalError> {
        let reserve = |scene: &Self| scene.journal.reserve(1).now_or_never();
        let reserved = match reserve(self) {
            Some(reserved) => reserved,
            None => {
                self.step();
                reserve(self).expect("one step makes room, or there is none to be had")
            }
        };
        let _reservation = reserved?;
        Ok(self.append_reserved(record))
    }

    /// As [`Self::append`], under a reservation that the caller holds.
    pub fn append_reserved(&mut self, mut record: Record) -> Sequence {
        let sequence = match &record {
            Record::State { key, state } => self.journal.append_state(key, state),
            Record::UserDeletion { user, version } => self.journal.append_deletion(*user, *version),
            Record::Ceiling(ceiling) => self.journal.append_ceiling(*ceiling),
            Record::Seal => unreachable!("only the writer seals"),
        };
        if let Record::Ceiling(ceiling) = &mut record {
            // One never falls while the journal is open.
            *ceiling = self.ceiling.max(*ceiling);
            self.ceiling = *ceiling;
        }
        self.truth.written.push((sequence, record));
        assert_eq!(sequence.as_u64(), self.truth.written.len() as u64);
        sequence
    }

    pub fn step(&mut self) -> Step {
        let step = self.writer.step();
        self.note();
        step
    }

    /// Appends a seal and steps.
    pub fn seal(&mut self) -> Step {
        let step = self.writer.seal();
        if self.journal.last().as_u64() > self.truth.written.len() as u64 {
            self.truth.written.push((self.journal.last(), Record::Seal));
        }
        self.note();
        step
    }

    /// Steps until nothing waits.
    pub fn drain(&mut self) {
        while let Step::Committed { .. } = self.step() {}
        assert_eq!(self.journal.durable(), self.journal.last());
    }

    fn note(&mut self) {
        self.truth.acknowledged = self.journal.durable();
    }

    /// The store has everything up to `horizon`, by one commit more.
    pub fn advance(&mut self, horizon: Sequence) -> Result<(), JournalError> {
        self.truth.commits.0 += 1;
        self.truth.horizon = self.truth.horizon.max(horizon);
        self.journal.advance(horizon, self.truth.commits)
    }

    /// Whether `sequence` is acknowledged; `None` while that is open.
    pub fn reached(&self, sequence: Sequence) -> Option<Result<(), JournalError>> {
        self.journal.reached(sequence).now_or_never()
    }

    /// Ends as a process does that is killed.
    pub fn kill(self) -> Truth {
        self.truth
    }
}
