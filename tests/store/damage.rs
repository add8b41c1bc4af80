//! Every file of an embedded store damaged in many places: the store says so at its start or at a
//! read; or it is behind the commit that it had persisted, which a journal refuses or heals (I11);
//! or every persisted row is as it was. Never is a row silently another, or gone.

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
    /// The last commit, which was not persisted, is gone.
    LostLast,
    /// A persisted commit is gone, and the number of the last one tells.
    Behind,
}

/// A store with persisted commits, and one that is only in its log.
struct Subject {
    image: Image,
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
        store.commit(Batch { rows: rows(from), durable: false }).await.expect("a commit");
    };
    let mut shown = BTreeMap::new();
    for from in [1, 1 + ROWS] {
        store.delete_user(user(77), version(from)).await.expect("a deletion");
        commit(from).await;
        store.persist().await.expect("a persist");
    }
    let persisted = store.persist().await.expect("a persist");
    shown.insert(persisted, show(store.as_ref()).await.expect("it is whole"));
    commit(1 + 2 * ROWS).await;
    shown.insert(CommitNumber(persisted.0 + 1), show(store.as_ref()).await.expect("it is whole"));
    store.close().await.expect("a close");
    let root = folder.0.path().join("store");
    Subject { image: image_of(&root, &root), shown, persisted }
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
        let Ok(store) = EmbeddedStore::open(&EmbeddedOptions::new(place.path())) else {
            return Outcome::Refused;
        };
        let read = show(&store).await;
        let commits = store.persist().await;
        store.close().await.ok();
        match (read, commits) {
            (_, Ok(commits)) if commits < self.persisted => Outcome::Behind,
            (Err(_), _) | (_, Err(_)) => Outcome::FailedRead,
            (Ok(read), Ok(commits)) => {
                let wanted = self.shown.get(&commits).expect("there was such a commit");
                assert!(read == *wanted, "{} of {} rows", read.rows.len(), wanted.rows.len());
                if commits == self.persisted { Outcome::LostLast } else { Outcome::Same }
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

/// Its damage is no loss: what is not persisted is in the journal.
fn is_log(name: &Path) -> bool {
    name.extension().is_some_and(|ending| ending == "jnl")
}

#[test]
fn no_damaged_file_goes_unnoticed_or_changes_a_row() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let subject = runtime.block_on(subject());
    assert_eq!(runtime.block_on(subject.outcome(&subject.image)), Outcome::Same);
    let (mut all, mut wrong) = (BTreeMap::<Outcome, usize>::new(), Vec::new());
    for (name, (bytes, _)) in subject.image.iter().filter(|(name, _)| !is_log(name)) {
        let mut tally = BTreeMap::<Outcome, usize>::new();
        for damage in damages(bytes.len(), &mut rng) {
            match subject.damaged(&runtime, name, damage) {
                Ok(outcome) => *tally.entry(outcome).or_default() += 1,
                Err(what) => wrong.push(what),
            }
        }
        println!("{name:?}, {} bytes: {tally:?}", bytes.len());
        tally.into_iter().for_each(|(outcome, count)| *all.entry(outcome).or_default() += count);
    }
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    assert!(all[&Outcome::Refused] > 100 && all[&Outcome::FailedRead] > 10, "{all:?}");
}
