//! Every file of an embedded store damaged in many places: the store says so at its start or at a
//! read; or it is behind the commit that it had persisted, which a journal refuses or heals (I11);
//! or every persisted row is as it was. Never is a row silently another, or gone.
//!
//! The engine's own log ends where it is damaged, as after a power cut. That takes whole commits
//! from its end, and none that was persisted: those rest in other files. Beside a journal the rest
//! is in that. Where the log is the only witness, damage in front of a whole commit is refused;
//! damage of the very last one looks like a torn write, and that commit is gone.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write as _,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    model::Version,
    store::{Batch, CommitNumber, EmbeddedOptions, EmbeddedStore, Row, Store, StoreError},
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    contract::Place,
    places::Folder,
    states::{acked, channel, tombstone, user, version},
};

const ROWS: u64 = 300;
/// Commits that are only in the log.
const UNPERSISTED: u64 = 2;

/// Files up to this long are damaged in every bit, and cut to every length.
const WHOLE_BYTES: usize = 40;
/// Longer ones in so many bits and lengths.
const FLIPS: usize = 24;
const CUTS: usize = 8;

/// The files of a closed store: what they begin with, and how many bytes they have with the zeros
/// behind that.
type Image = BTreeMap<PathBuf, (Vec<u8>, u64)>;

/// What a store shows of itself.
#[derive(Debug, PartialEq)]
struct Shown {
    rows: Vec<Row>,
    deleted_at: Option<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Same,
    Refused,
    FailedRead,
    /// Commits from the last one on that were not persisted are gone.
    LostLast,
    /// A persisted commit is gone, and the number of the last one tells.
    Behind,
}

/// A store with persisted commits, and two that are only in its log.
struct Subject {
    image: Image,
    log_is_only_witness: bool,
    /// After each of the commits that may be the last.
    shown: BTreeMap<CommitNumber, Shown>,
    persisted: CommitNumber,
}

fn rows(from: u64) -> Vec<Row> {
    let state = |id| if id % 10 == 0 { tombstone(id) } else { acked(id, id << 22) };
    (from..from + ROWS).map(|id| Row { key: channel(id % 9 + 1, id), state: state(id) }).collect()
}

async fn subject() -> Subject {
    let folder = Folder::default();
    let store = folder.open().await;
    let commit = async |from| {
        store
            .commit(Batch { rows: rows(from), durable: false, upto: None })
            .await
            .expect("a commit");
    };
    let mut shown = BTreeMap::new();
    for from in [1, 1 + ROWS] {
        store.delete_user(user(77), version(from)).await.expect("a deletion");
        commit(from).await;
        store.persist().await.expect("a persist");
    }
    let persisted = store.persist().await.expect("a persist");
    shown.insert(persisted, show(store.as_ref()).await.expect("it is whole"));
    for unpersisted in 1..=UNPERSISTED {
        commit(1 + (1 + unpersisted) * ROWS).await;
        let now = show(store.as_ref()).await.expect("it is whole");
        shown.insert(CommitNumber(persisted.0 + unpersisted), now);
    }
    store.close().await.expect("a close");
    let root = folder.0.path().join("store");
    Subject { image: image_of(&root, &root), log_is_only_witness: true, shown, persisted }
}

async fn show(store: &dyn Store) -> Result<Shown, StoreError> {
    let rows = store.scan(None, usize::MAX).await?;
    let keys = rows.iter().map(|row| row.key).collect();
    let loaded = store.load_many(keys).await?;
    assert!(rows.iter().map(|row| Some(&row.state)).eq(loaded.iter().map(Option::as_ref)));
    let deleted_at = store.load_user(user(77), None, 1).await?.deleted_at;
    Ok(Shown { rows, deleted_at })
}

fn image_of(root: &Path, folder: &Path) -> Image {
    let mut image = Image::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            image.extend(image_of(root, &path));
        } else {
            let mut bytes = fs::read(&path).expect("a file");
            let length = bytes.len() as u64;
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            let name = path.strip_prefix(root).expect("it is below").to_owned();
            image.insert(name, (bytes, length));
        }
    }
    image
}

fn lay_out(image: &Image, root: &Path) {
    for (name, (bytes, length)) in image {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let mut file = File::create(path).expect("a file");
        file.write_all(bytes).and_then(|()| file.set_len(*length)).expect("a file");
    }
}

impl Subject {
    /// Opens a store of these files and reads all of it.
    ///
    /// # Panics
    /// Where it shows what it never held.
    async fn outcome(&self, image: &Image) -> Outcome {
        let place = tempfile::tempdir().expect("a folder");
        lay_out(image, place.path());
        let mut options = EmbeddedOptions::new(place.path());
        options.log_is_only_witness = self.log_is_only_witness;
        let Ok(store) = EmbeddedStore::open(&options) else { return Outcome::Refused };
        let read = show(&store).await;
        let commits = store.persist().await;
        store.close().await.ok();
        match (read, commits) {
            (_, Ok(commits)) if commits < self.persisted => Outcome::Behind,
            (Err(_), _) | (_, Err(_)) => Outcome::FailedRead,
            (Ok(read), Ok(commits)) => {
                let wanted = self.shown.get(&commits).expect("there was such a commit");
                assert!(read == *wanted, "{} of {} rows", read.rows.len(), wanted.rows.len());
                let is_last = Some(&commits) == self.shown.keys().next_back();
                if is_last { Outcome::Same } else { Outcome::LostLast }
            }
        }
    }

    /// Damages one file in some way; a panic of the store or a wrong row is a failure.
    fn damaged(&self, runtime: &Runtime, name: &Path, damage: Damage) -> Result<Outcome, String> {
        let mut image = self.image.clone();
        let (bytes, length) = image.get_mut(name).expect("it is there");
        match damage {
            Damage::Flip { byte, bit } => bytes[byte] ^= 1 << bit,
            Damage::Cut { bytes: left } => {
                bytes.truncate(left);
                *length = left as u64;
            }
        }
        let tried = AssertUnwindSafe(|| runtime.block_on(self.outcome(&image)));
        panic::catch_unwind(tried).map_err(|_| format!("{name:?}: {damage:?}"))
    }
}

#[derive(Clone, Copy, Debug)]
enum Damage {
    Flip { byte: usize, bit: usize },
    Cut { bytes: usize },
}

/// What is done to a file of `length` bytes, one after the other.
fn damages(length: usize, rng: &mut StdRng) -> Vec<Damage> {
    if length <= WHOLE_BYTES {
        let flips = (0..length * 8).map(|bit| Damage::Flip { byte: bit / 8, bit: bit % 8 });
        return flips.chain((0..length).map(|bytes| Damage::Cut { bytes })).collect();
    }
    let flip = |_| rng.random_range(0..length * 8);
    let flips: Vec<usize> = (0..FLIPS).map(flip).collect();
    let flips = flips.into_iter().map(|bit| Damage::Flip { byte: bit / 8, bit: bit % 8 });
    flips.chain((0..CUTS).map(|_| Damage::Cut { bytes: rng.random_range(0..length) })).collect()
}

fn is_log(name: &Path) -> bool {
    name.extension().is_some_and(|ending| ending == "jnl")
}

impl Subject {
    /// Damages every file of these, each in many places; what it came to.
    ///
    /// # Panics
    /// Where any damage makes a store show what it never held, or panic.
    fn damage_all(&self, runtime: &Runtime, of: fn(&Path) -> bool) -> BTreeMap<Outcome, usize> {
        let seed = rand::random();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut all, mut wrong) = (BTreeMap::<Outcome, usize>::new(), Vec::new());
        for (name, (bytes, _)) in self.image.iter().filter(|(name, _)| of(name)) {
            let mut tally = BTreeMap::<Outcome, usize>::new();
            for damage in damages(bytes.len(), &mut rng) {
                match self.damaged(runtime, name, damage) {
                    Ok(outcome) => *tally.entry(outcome).or_default() += 1,
                    Err(what) => wrong.push(what),
                }
            }
            println!("{name:?}, {} bytes: {tally:?}", bytes.len());
            tally.into_iter().for_each(|(outcome, n)| *all.entry(outcome).or_default() += n);
        }
        assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
        all
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

#[test]
fn no_damaged_file_goes_unnoticed_or_changes_a_row() {
    let runtime = runtime();
    let subject = runtime.block_on(subject());
    assert_eq!(runtime.block_on(subject.outcome(&subject.image)), Outcome::Same);
    let all = subject.damage_all(&runtime, |name| !is_log(name));
    assert!(all[&Outcome::Refused] > 100 && all[&Outcome::FailedRead] > 10, "{all:?}");
}

/// Beside a journal no damage of the log stops a start, or takes what was persisted.
#[test]
fn a_damaged_log_costs_no_persisted_row_beside_a_journal() {
    let runtime = runtime();
    let mut subject = runtime.block_on(subject());
    subject.log_is_only_witness = false;
    let all = subject.damage_all(&runtime, is_log);
    assert!(all[&Outcome::LostLast] > 1, "{all:?}");
}

/// Without one, damage in its middle is refused.
#[test]
fn a_damaged_log_that_is_the_only_witness_is_refused_or_lost_its_end() {
    let runtime = runtime();
    let subject = runtime.block_on(subject());
    let all = subject.damage_all(&runtime, is_log);
    assert!(all[&Outcome::Refused] > 1, "{all:?}");
}

/// By the sequence of a batch the engine tells newer rows from older, and no checksum covers it.
#[test]
fn a_batch_of_the_log_with_another_sequence_hides_no_persisted_row() {
    let runtime = runtime();
    for log_is_only_witness in [true, false] {
        let mut subject = runtime.block_on(subject());
        subject.log_is_only_witness = log_is_only_witness;
        let (name, (bytes, _)) =
            subject.image.iter().find(|(name, _)| is_log(name)).expect("a log");
        let mut tally = BTreeMap::<Outcome, usize>::new();
        for start in batches(bytes) {
            let sequence = start + 5..start + 13;
            for bit in [0, 2, 7] {
                for byte in sequence.clone() {
                    let outcome = subject.damaged(&runtime, name, Damage::Flip { byte, bit });
                    *tally.entry(outcome.expect("nothing else is shown")).or_default() += 1;
                }
            }
        }
        println!("the only witness: {log_is_only_witness}: {tally:?}");
        let noticed = if log_is_only_witness { Outcome::Refused } else { Outcome::LostLast };
        assert!(tally[&noticed] > 20 && !tally.contains_key(&Outcome::Behind), "{tally:?}");
    }
}

/// Where the batches of a log begin: at its start, and behind each end of one.
fn batches(log: &[u8]) -> Vec<usize> {
    let ends = log.windows(4).enumerate().filter(|(_, bytes)| *bytes == b"FJL\x03");
    let starts = [0].into_iter().chain(ends.map(|(at, _)| at + 4));
    starts.filter(|start| log.get(*start) == Some(&1)).collect()
}

/// Where the contents of a table say how many parts it has: the engine asks for memory for as many
/// before it looks at the checksum, and a process that asks for too much ends without a word.
#[test]
fn a_table_that_claims_a_billion_parts_is_refused() {
    let runtime = runtime();
    let subject = runtime.block_on(subject());
    let mut flips = 0;
    for (name, (bytes, _)) in &subject.image {
        let is_table = name.parent().is_some_and(|folder| folder.ends_with("tables"));
        let contents = bytes.windows(4).rposition(|window| window == b"TOC!");
        let Some(contents) = contents.filter(|_| is_table) else { continue };
        for (byte, bit) in (0..32).map(|bit| (contents + 4 + bit / 8, bit % 8)) {
            let outcome = subject.damaged(&runtime, name, Damage::Flip { byte, bit });
            assert_eq!(outcome, Ok(Outcome::Refused), "{name:?}");
            flips += 1;
        }
    }
    assert!(flips >= 32, "there are tables");
}
