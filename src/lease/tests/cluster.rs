//! A database with the one row, as its services see it: over lines that lose answers.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

use crate::{
    model::Version,
    store::{LeaseRow, LeaseTable, Pending, StoreError, Swap},
};

/// What becomes of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done, or not, and answered.
    Answered,
    /// It is done, or not, and the answer is lost.
    AnswerLost,
    /// It never gets there.
    Lost,
    /// It is tried only so much later. A serial read in between ends it, unless it outlives those:
    /// as one does that its coordinator proposes anew.
    Later { ms: u64, outlives_reads: bool },
    /// The next serial read completes it.
    UntilRead,
}

/// The database. Clones share it.
#[derive(Clone)]
pub struct Cluster {
    state: Arc<Mutex<State>>,
    began: Instant,
}

#[derive(Default)]
struct State {
    row: Option<LeaseRow>,
    /// Everything that was ever written, with the time.
    history: Vec<(u64, LeaseRow)>,
    reads: u64,
    until_read: Vec<(Option<LeaseRow>, LeaseRow)>,
    breaches: Vec<String>,
    fates: Vec<&'static str>,
}

impl State {
    fn swap(&mut self, now_ms: u64, seen: &Option<LeaseRow>, new: &LeaseRow) -> Swap {
        if self.row != *seen {
            return Swap::Differs(self.row.clone());
        }
        self.watch(new);
        self.row = Some(new.clone());
        self.history.push((now_ms, new.clone()));
        Swap::Done
    }

    /// What must be true of every write.
    fn watch(&mut self, new: &LeaseRow) {
        let mut demand = |kept: bool, rule: &str| {
            if !kept {
                self.breaches.push(format!("{rule}: {new:?} after {:?}", self.row));
            }
        };
        demand(self.history.iter().all(|(_, row)| row != new), "no row is written twice");
        let Some(old) = &self.row else {
            return demand(new.epoch == 1, "the first epoch is 1");
        };
        demand(new.ceiling >= old.ceiling, "ceilings never fall");
        if new.incarnation == old.incarnation && !old.is_released() {
            demand(new.epoch == old.epoch && new.beat > old.beat, "a beat rises within its epoch");
        } else {
            demand(new.epoch == old.epoch + 1, "a new owner has the next epoch");
            demand(new.ceiling == old.ceiling, "a new owner keeps the ceiling");
        }
    }

    fn read(&mut self, now_ms: u64) -> Option<LeaseRow> {
        self.reads += 1;
        for (seen, new) in std::mem::take(&mut self.until_read) {
            self.swap(now_ms, &seen, &new);
        }
        self.row.clone()
    }
}

impl Cluster {
    /// Without a row.
    pub fn new() -> Self {
        Self { state: Arc::default(), began: Instant::now() }
    }

    /// The time that is the same for all.
    pub fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    /// The row as it is, without settling anything.
    pub fn row(&self) -> Option<LeaseRow> {
        self.state.lock().row.clone()
    }

    /// Puts a row there as nobody may.
    pub fn force(&self, row: Option<LeaseRow>) {
        self.state.lock().row = row;
    }

    /// Everything that was ever written, with the time.
    pub fn history(&self) -> Vec<(u64, LeaseRow)> {
        self.state.lock().history.clone()
    }

    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// How often each fate was met.
    pub fn fates(&self) -> Vec<&'static str> {
        self.state.lock().fates.clone()
    }

    #[track_caller]
    pub fn assert_sound(&self) {
        assert_eq!(self.state.lock().breaches, [] as [String; 0]);
    }

    /// The highest ceiling of all epochs before `epoch`, and that of this one.
    pub fn ceilings(&self, epoch: u64) -> (Version, Version) {
        let state = self.state.lock();
        let most = |of: &dyn Fn(u64) -> bool| {
            let rows = state.history.iter().filter(|(_, row)| of(row.epoch));
            rows.map(|(_, row)| row.ceiling).max().unwrap_or_default()
        };
        (most(&|other| other < epoch), most(&|other| other == epoch))
    }

    /// A line to it, on which all is well.
    pub fn line(&self) -> Line {
        Line { cluster: self.clone(), faults: Arc::default() }
    }

    fn read_now(&self) -> Option<LeaseRow> {
        self.state.lock().read(self.now_ms())
    }

    fn swap_now(&self, seen: &Option<LeaseRow>, new: &LeaseRow) -> Swap {
        self.state.lock().swap(self.now_ms(), seen, new)
    }

    fn met(&self, fate: Fate) {
        self.state.lock().fates.push(match fate {
            Fate::Answered => "answered",
            Fate::AnswerLost => "answer lost",
            Fate::Lost => "lost",
            Fate::Later { outlives_reads: false, .. } => "later",
            Fate::Later { outlives_reads: true, .. } => "later, outliving reads",
            Fate::UntilRead => "until read",
        });
    }
}

/// How one service reaches the database. Clones are the same line.
#[derive(Clone)]
pub struct Line {
    cluster: Cluster,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
struct Faults {
    cut: bool,
    /// Of the next swaps.
    fates: VecDeque<Fate>,
    read_error: Option<StoreError>,
    reads_lost: u32,
    there_ms: u64,
    back_ms: u64,
    weather: Option<StdRng>,
    swaps: u64,
    losses: u64,
}

/// What is drawn for one call.
struct Trip {
    there_ms: u64,
    back_ms: u64,
    fate: Fate,
}

impl Line {
    /// Nothing gets through.
    pub fn cut(&self) {
        self.faults.lock().cut = true;
    }

    pub fn mend(&self) {
        self.faults.lock().cut = false;
    }

    /// The next swaps end like this, one each.
    pub fn expect(&self, fates: impl IntoIterator<Item = Fate>) {
        self.faults.lock().fates.extend(fates);
    }

    /// The next reads are not answered.
    pub fn lose_reads(&self, reads: u32) {
        self.faults.lock().reads_lost = reads;
    }

    pub fn fail_reads(&self, error: Option<StoreError>) {
        self.faults.lock().read_error = error;
    }

    pub fn delay(&self, there_ms: u64, back_ms: u64) {
        let mut faults = self.faults.lock();
        (faults.there_ms, faults.back_ms) = (there_ms, back_ms);
    }

    /// From here on everything is drawn from `seed`; calm without.
    pub fn weather(&self, seed: Option<u64>) {
        self.faults.lock().weather = seed.map(StdRng::seed_from_u64);
    }

    /// Swaps that were sent.
    pub fn swaps(&self) -> u64 {
        self.faults.lock().swaps
    }

    async fn carry_read(self, answer: oneshot::Sender<Option<LeaseRow>>) {
        let trip = self.faults.lock().trip();
        sleep(Duration::from_millis(trip.there_ms)).await;
        let lost = self.faults.lock().loses_read();
        if lost || self.is_cut() {
            return self.lose(answer).await;
        }
        let row = self.cluster.read_now();
        sleep(Duration::from_millis(trip.back_ms)).await;
        self.deliver(answer, row).await;
    }

    async fn carry_swap(
        self,
        seen: Option<LeaseRow>,
        new: LeaseRow,
        answer: oneshot::Sender<Swap>,
    ) {
        let Trip { there_ms, back_ms, fate } = {
            let mut faults = self.faults.lock();
            faults.swaps += 1;
            let mut trip = faults.trip();
            trip.fate = faults.fates.pop_front().unwrap_or(trip.fate);
            trip
        };
        sleep(Duration::from_millis(there_ms)).await;
        if self.is_cut() {
            return self.lose(answer).await;
        }
        self.cluster.met(fate);
        match fate {
            Fate::Answered => {
                let swap = self.cluster.swap_now(&seen, &new);
                sleep(Duration::from_millis(back_ms)).await;
                return self.deliver(answer, swap).await;
            }
            Fate::AnswerLost => {
                self.cluster.swap_now(&seen, &new);
            }
            Fate::Lost => {}
            Fate::UntilRead => self.cluster.state.lock().until_read.push((seen, new)),
            Fate::Later { ms, outlives_reads } => {
                let cluster = self.cluster.clone();
                let reads = cluster.reads();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(ms)).await;
                    if outlives_reads || cluster.reads() == reads {
                        cluster.swap_now(&seen, &new);
                    }
                });
            }
        }
        self.lose(answer).await;
    }

    fn is_cut(&self) -> bool {
        self.faults.lock().cut
    }

    async fn deliver<T>(&self, answer: oneshot::Sender<T>, value: T) {
        if self.is_cut() {
            return self.lose(answer).await;
        }
        answer.send(value).ok();
    }

    /// The service is told that it failed, or is told nothing, in turn.
    async fn lose<T>(&self, answer: oneshot::Sender<T>) {
        let told = {
            let mut faults = self.faults.lock();
            faults.losses += 1;
            faults.losses.is_multiple_of(2)
        };
        if !told {
            sleep(Duration::from_secs(3600)).await;
        }
        drop(answer);
    }
}

impl Faults {
    fn loses_read(&mut self) -> bool {
        let lost = self.reads_lost > 0;
        self.reads_lost = self.reads_lost.saturating_sub(1);
        lost
    }

    fn trip(&mut self) -> Trip {
        let Some(rng) = &mut self.weather else {
            return Trip { there_ms: self.there_ms, back_ms: self.back_ms, fate: Fate::Answered };
        };
        let slow = rng.random_bool(0.1);
        let mut leg_ms = || if slow { rng.random_range(0..2500) } else { rng.random_range(0..80) };
        let (there_ms, back_ms) = (leg_ms(), leg_ms());
        let fate = match rng.random_range(0..100) {
            0..5 => Fate::AnswerLost,
            5..10 => Fate::Lost,
            10..14 => Fate::UntilRead,
            14..22 => Fate::Later {
                ms: rng.random_range(0..12_000),
                outlives_reads: rng.random_bool(0.7),
            },
            _ => Fate::Answered,
        };
        Trip { there_ms, back_ms, fate }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the line is lost".to_owned())
}

impl LeaseTable for Line {
    fn read(&self) -> Pending<'_, Option<LeaseRow>> {
        Box::pin(async move {
            if let Some(error) = self.faults.lock().read_error.clone() {
                return Err(error);
            }
            let (sender, answer) = oneshot::channel();
            // On its own: what is under way does not end with who waits for it.
            tokio::spawn(self.clone().carry_read(sender));
            answer.await.map_err(|_| lost())
        })
    }

    fn swap(&self, seen: Option<LeaseRow>, new: LeaseRow) -> Pending<'_, Swap> {
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            tokio::spawn(self.clone().carry_swap(seen, new, sender));
            answer.await.map_err(|_| lost())
        })
    }
}
