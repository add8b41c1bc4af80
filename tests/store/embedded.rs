//! What only a store on disk can get wrong: folders, locks, logs, damage.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::future::join_all;
use readstates::{
    model::Key,
    store::{Batch, EmbeddedOptions, EmbeddedStore, Row, Store, StoreError, codec},
};

use crate::{
    contract::Place,
    places::Folder,
    states::{acked, channel, tombstone, user, version},
};

const ROWS: u64 = 500;

fn rows() -> Vec<Row> {
    let state = |id| if id % 10 == 0 { tombstone(id) } else { acked(id, id << 22) };
    (1..=ROWS).map(|id| Row { key: channel(id % 9 + 1, id), state: state(id) }).collect()
}

fn keys() -> Vec<Key> {
    rows().iter().map(|row| row.key).collect()
}

async fn fill(store: &Arc<dyn Store>) {
    store.commit(Batch { rows: rows(), durable: false, upto: None }).await.expect("a commit");
    store.delete_user(user(77), version(7)).await.expect("a deletion");
}

async fn assert_full(store: &dyn Store) {
    let states = store.load_many(keys()).await.expect("a load");
    assert!(rows().into_iter().map(|row| Some(row.state)).eq(states));
    let page = store.load_user(user(77), None, 1).await.expect("a page");
    assert_eq!(page.deleted_at, Some(version(7)));
}

fn open(path: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(&EmbeddedOptions::new(path))
}

fn path_of(folder: &Folder) -> PathBuf {
    folder.0.path().join("store")
}

/// What a machine that lost its power now would find, had it synced what it wrote.
fn copy(from: &Path) -> Folder {
    let folder = Folder::default();
    copy_into(from, &path_of(&folder));
    folder
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// A closed store with rows, all in the engine's own files.
async fn closed_store() -> Folder {
    let folder = Folder::default();
    let store = folder.open().await;
    fill(&store).await;
    store.persist().await.expect("a persist");
    store.close().await.expect("a close");
    folder
}

#[tokio::test]
async fn a_folder_in_use_is_refused_until_it_is_closed() {
    let folder = Folder::default();
    let store = folder.open().await;
    let refused = open(&path_of(&folder)).err().expect("it is in use").to_string();
    assert_eq!(refused, "the store is unavailable: another process has its folder open");
    fill(&store).await;
    store.close().await.expect("a close");
    // Opening would wait for the lock a little; a close does not end before it is free.
    let lock = fs::File::open(path_of(&folder).join("fjall/lock")).expect("the lock");
    lock.try_lock().expect("nobody has it");
    drop(lock);
    assert_full(&open(&path_of(&folder)).expect("it was closed")).await;
}

#[tokio::test]
async fn a_store_that_was_only_dropped_has_everything() {
    let folder = Folder::default();
    let store = folder.open().await;
    fill(&store).await;
    // In use until its threads have ended, and they end without being waited for.
    let copied = copy(&path_of(&folder));
    drop(store);
    assert_full(copied.open().await.as_ref()).await;
}

#[tokio::test]
async fn what_was_persisted_needs_no_log() {
    let folder = Folder::default();
    let store = folder.open().await;
    fill(&store).await;
    let number = store.persist().await.expect("a persist");
    let copied = copy(&path_of(&folder));
    let logs: Vec<PathBuf> =
        files(&path_of(&copied)).into_iter().filter(|file| has_ending(file, "jnl")).collect();
    assert!(!logs.is_empty());
    for log in logs {
        fs::write(log, "").expect("a log");
    }
    let reopened = copied.open().await;
    assert_full(reopened.as_ref()).await;
    assert_eq!(reopened.persist().await.expect("a persist"), number);
}

fn has_ending(file: &Path, ending: &str) -> bool {
    file.extension().is_some_and(|extension| extension == ending)
}

#[tokio::test]
async fn persist_again_with_nothing_new_answers_the_same() {
    let folder = Folder::default();
    let store = folder.open().await;
    fill(&store).await;
    let number = store.persist().await.expect("a persist");
    assert_eq!(store.persist().await.expect("another"), number);
}

#[tokio::test]
async fn a_folder_with_a_file_gone_is_refused_and_left_as_it_is() {
    for gone in ["version", "0.jnl", "keyspaces/0/current", "keyspaces/1/current"] {
        let folder = closed_store().await;
        let path = path_of(&folder);
        let file = path.join("fjall").join(gone);
        let kept = fs::read(&file).expect("the engine's file");
        fs::remove_file(&file).expect("it is there");
        let before = files(&path);
        let refused = open(&path);
        assert!(matches!(refused.as_ref().err(), Some(StoreError::Corrupt(_))), "{gone}");
        assert_eq!(files(&path), before, "{gone}");
        fs::write(&file, kept).expect("put back");
        assert_full(&open(&path).expect("whole again")).await;
    }
}

#[tokio::test]
async fn a_store_that_came_up_empty_under_our_marker_is_refused() {
    let (folder, empty) = (closed_store().await, tempfile::tempdir().expect("a folder"));
    let engine = path_of(&folder).join("fjall");
    {
        let database = fjall::Database::builder(empty.path()).open().expect("an engine");
        database.keyspace("readstates", Default::default).expect("a tree");
    }
    fs::remove_dir_all(&engine).expect("ours");
    copy_into(empty.path(), &engine);
    let refused = open(&path_of(&folder)).err().expect("it is not ours");
    assert!(
        matches!(&refused, StoreError::Corrupt(why) if why.named().contains("meta row")),
        "{refused}"
    );
}

#[tokio::test]
async fn foreign_folders_and_newer_formats_are_refused_by_name() {
    let folder = closed_store().await;
    let path = path_of(&folder);
    let stray = path.join("fjall/keyspaces/lost+found");
    fs::create_dir(&stray).expect("a folder");
    let refused = open(&path).err().expect("it is foreign");
    assert!(matches!(&refused, StoreError::Corrupt(why) if why.named().contains("lost+found")));
    fs::remove_dir(stray).expect("it is empty");

    fs::write(path.join("readstates-store"), "readstates embedded store, format 2\n").expect("ok");
    let refused = open(&path).err().expect("it is newer");
    assert!(matches!(&refused, StoreError::NewerFormat(why) if why.contains("format 2")));
}

#[tokio::test]
async fn a_creation_that_was_cut_off_is_finished_by_the_next() {
    let folder = closed_store().await;
    fs::remove_file(path_of(&folder).join("readstates-store")).expect("the marker");
    assert_full(folder.open().await.as_ref()).await;
    assert!(path_of(&folder).join("readstates-store").exists());
    let bare = Folder::default();
    drop(fjall::Database::builder(path_of(&bare).join("fjall")).open().expect("an engine"));
    let store = bare.open().await;
    fill(&store).await;
    store.close().await.expect("a close");
    drop(store);
    assert_full(bare.open().await.as_ref()).await;
}

/// Whatever a creation has left, the store that is made then can be opened again and again.
#[tokio::test]
async fn a_creation_may_be_cut_off_anywhere() {
    let whole = closed_store().await;
    let made = path_of(&whole).join("fjall");
    for left in 0..=files(&made).len() {
        let folder = Folder::default();
        let path = path_of(&folder);
        for file in files(&made).iter().take(left) {
            let name = file.strip_prefix(&made).expect("it is below");
            let copy = path.join("fjall.new").join(name);
            fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
            // Cut off in the middle of the last of them.
            fs::write(copy, "").expect("a file");
        }
        let store = folder.open().await;
        fill(&store).await;
        store.close().await.expect("a close");
        drop(store);
        assert_full(folder.open().await.as_ref()).await;
        assert!(!path.join("fjall.new").exists());
    }
}

/// Data is right, or the store says that it is not; nothing else may come of a flipped bit.
#[tokio::test]
async fn a_flipped_bit_in_a_table_is_an_error_or_harmless() {
    let folder = closed_store().await;
    let path = path_of(&folder);
    let is_table = |file: &PathBuf| file.components().any(|part| part.as_os_str() == "tables");
    let largest = |file: &PathBuf| fs::metadata(file).expect("a file").len();
    let table = files(&path.join("fjall/keyspaces/1")).into_iter().filter(is_table);
    let table = table.max_by_key(largest).expect("a table");
    let bytes = fs::read(&table).expect("the table");
    let expected: Vec<_> = rows().into_iter().map(|row| Some(row.state)).collect();
    let mut noticed = 0;
    for place in (0..bytes.len()).step_by(bytes.len() / 40) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        fs::write(&table, damaged).expect("the table");
        let Ok(store) = open(&path) else {
            noticed += 1;
            continue;
        };
        match store.load_many(keys()).await {
            Ok(states) => assert_eq!(states, expected, "byte {place}"),
            Err(_) => noticed += 1,
        }
        store.close().await.expect("a close");
    }
    assert!(noticed > 10, "{noticed}");
}

#[tokio::test]
async fn an_engine_whose_disk_fails_says_so_and_does_not_hang() {
    let folder = Folder::default();
    let store = folder.open().await;
    fill(&store).await;
    // A file in the place of the folder of tables: no memtable can be written out.
    let tables = path_of(&folder).join("fjall/keyspaces/1/tables");
    fs::remove_dir_all(&tables).expect("the tables");
    fs::write(&tables, "").expect("a file");
    let refused = store.persist().await.expect_err("no table can be written").to_string();
    assert!(refused.contains("an earlier write to its disk failed"), "{refused}");
    let refused = store.commit(Batch { rows: rows(), durable: false, upto: None }).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.persist().await.is_err());
    // What it has in memory it still answers.
    assert!(store.load(keys()[0]).await.expect("a load").is_some());
    assert!(store.close().await.is_err());
    assert!(matches!(store.load(keys()[0]).await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn more_callers_than_the_queues_hold_are_all_answered() {
    let folder = Folder::default();
    let store = folder.open().await;
    fill(&store).await;
    let loads = join_all((0..5_000).map(|_| store.load(channel(2, 1))));
    let commits = join_all((1..=300).map(|id| {
        let row = Row { key: channel(100, id), state: acked(1, id) };
        store.commit(Batch { rows: vec![row], durable: false, upto: None })
    }));
    let (loads, commits) = tokio::join!(loads, commits);
    assert!(loads.into_iter().all(|state| state.expect("a load") == Some(acked(1, 1 << 22))));
    assert!(commits.into_iter().all(|report| report.expect("a commit").failed.is_empty()));
    let page = store.load_user(user(100), None, usize::MAX).await.expect("a page");
    assert_eq!(page.rows.len(), 300);
}

/// The log of a store that commits one row after the other, the last of them beyond what is synced.
async fn logged_store(rows: &[Row]) -> Folder {
    let folder = Folder::default();
    let store = folder.open().await;
    for row in rows {
        let batch = Batch { rows: vec![row.clone()], durable: true, upto: None };
        store.commit(batch).await.expect("a commit");
    }
    copy(&path_of(&folder))
}

fn log_of(folder: &Folder) -> PathBuf {
    path_of(folder).join("fjall/0.jnl")
}

/// Where the value of `row` is in the log.
fn value_of(log: &[u8], row: &Row) -> std::ops::Range<usize> {
    let value = codec::encode(&row.key, &row.state);
    let found = log.windows(value.len()).rposition(|bytes| bytes == &value[..]);
    let start = found.expect("its row is in the log");
    start..start + value.len()
}

#[tokio::test]
async fn what_a_power_cut_left_of_the_last_commit_goes_and_all_before_it_stays() {
    let rows = &rows()[..20];
    let folder = logged_store(rows).await;
    let log = fs::read(log_of(&folder)).expect("the log");
    // In the last row, and in what comes with it.
    let last = value_of(&log, &rows[19]);
    for hole in (last.start..last.end + 30).step_by(7) {
        let mut torn = log.clone();
        torn[hole] ^= 0xff;
        fs::write(log_of(&folder), &torn).expect("a log");
        let store = folder.open().await;
        let keys = rows.iter().map(|row| row.key).collect();
        let states = store.load_many(keys).await.expect("a load");
        let there = states.iter().zip(rows).take(19);
        assert!(there.clone().all(|(state, row)| state.as_ref() == Some(&row.state)), "{hole}");
        assert_eq!(states[19], None, "{hole}");
        store
            .commit(Batch { rows: vec![rows[19].clone()], durable: true, upto: None })
            .await
            .expect("a commit");
        store.close().await.expect("a close");
        drop(store);
        let again = folder.open().await;
        let state = again.load(rows[19].key).await.expect("a load");
        assert_eq!(
            state.as_ref(),
            Some(&rows[19].state),
            "what came after it is not behind a hole"
        );
        again.close().await.expect("a close");
    }
}

#[tokio::test]
async fn damage_in_the_middle_of_the_log_is_refused_where_it_is_the_only_witness() {
    let rows = &rows()[..20];
    let folder = logged_store(rows).await;
    let mut log = fs::read(log_of(&folder)).expect("the log");
    let hole = value_of(&log, &rows[9]).start;
    log[hole] ^= 0xff;
    fs::write(log_of(&folder), &log).expect("a log");
    let refused = open(&path_of(&folder)).err().expect("it is damaged");
    assert!(
        matches!(&refused, StoreError::Corrupt(why) if why.named().contains("0.jnl")),
        "{refused}"
    );
    assert_eq!(fs::read(log_of(&folder)).expect("the log"), log, "it is left as it is");
    let mut options = EmbeddedOptions::new(path_of(&folder));
    options.log_is_only_witness = false;
    let store = EmbeddedStore::open(&options).expect("another has the rows");
    let keys = rows.iter().map(|row| row.key).collect();
    let states = store.load_many(keys).await.expect("a load");
    assert_eq!(states.iter().filter(|state| state.is_some()).count(), 9);
}
