//! What durability costs: group commit through the journal against bare appends of the same bytes,
//! the copy of a record under the mutex, and the reading of a journal at a start.
//!
//! `cargo bench --bench journal` writes to a folder of its own in the system's temporary folder, or
//! in the one that `READSTATES_BENCH_DIR` names; `cargo test --benches` only looks whether
//! everything runs.
//!
//! Last results: two shared virtual cores, ext4 on a virtual disk, three runs in a row:
//!
//! - append of a record under the mutex: 48 ns, 117 ns with 8 mentions
//! - 64 / 256 / 1,024 in flight: 0.44 / 1.3 / 4.2 million records a second, 0.14 / 0.19 / 0.24 ms
//!   from append to durable, in groups of 35 / 132 / 377 records
//! - against bare writes and syncs of the same groups (66-86 us each): 1.09-1.17, 1.06-1.40 and
//!   0.99-1.02 times, medians of each run; 1.06 and 1.07 in two of the three at 256
//! - on a disk that syncs in 1 us (memory) the thread is the bound: 1.7 / 2.7 / 3.8 million
//! - reading a journal of 1,000,000 states, 46 MiB: 0.17 s

#[path = "load/usual.rs"]
mod usual;

use std::{
    fs::{self, File},
    hint::black_box,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use mimalloc::MiMalloc;
use readstates::{
    journal::{
        FolderDisk, GROUP_HEADER_BYTES, Journal, JournalError, JournalOptions, Recovery,
        SEGMENT_HEADER_BYTES, Step, Writer, WriterThread, group_bytes,
    },
    model::{ChannelId, Key, Kind, UserId},
    store::CommitNumber,
    store::StoreIdentity,
};

use usual::state;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Where to write.
const FOLDER_VARIABLE: &str = "READSTATES_BENCH_DIR";
const IN_FLIGHT: [usize; 3] = [64, 256, 1024];
const ROUNDS: usize = 3;
const STORE: StoreIdentity = StoreIdentity { id: 1, commits: CommitNumber(0), upto: None };

fn main() {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let folder = match std::env::var(FOLDER_VARIABLE) {
        Ok(folder) => tempfile::tempdir_in(folder),
        Err(_) => tempfile::tempdir(),
    };
    let folder = folder.expect("a folder to write to");
    appends(folder.path(), if smoke { 1_000 } else { 2_000_000 });
    for in_flight in IN_FLIGHT {
        commits(folder.path(), in_flight, if smoke { 2 } else { 2_000 });
    }
    recovery(folder.path(), if smoke { 1_000 } else { 1_000_000 });
}

fn key(number: u64) -> Key {
    let user = UserId::new(1 + number / 50).expect("not 0");
    let channel = ChannelId::new(1 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) / 2);
    Key { user, kind: Kind::Channel, channel: channel.expect("not 0") }
}

fn open(folder: &Path) -> Recovery {
    let disk = FolderDisk::new(folder).expect("a folder");
    let mut recovery = Recovery::open(Arc::new(disk), JournalOptions::default()).expect("whole");
    recovery.check_store(STORE).expect("any store will do");
    recovery
}

fn begin(folder: &Path) -> (Journal, Writer) {
    open(folder).begin().expect("it begins")
}

/// What a record costs under the mutex, written to the disk in between.
fn appends(folder: &Path, records: u64) {
    for mentions in [0, 8] {
        let folder = folder.join(format!("appends-{mentions}"));
        let (journal, mut writer) = begin(&folder);
        let rounds = (0..ROUNDS).map(|_| {
            let took = append(&journal, &mut writer, records, mentions);
            took.as_nanos() as f64 / records as f64
        });
        let rounds = rounds.collect();
        report(&format!("append, {mentions} mentions"), "ns", rounds);
        writer.close(None).expect("it closes");
        fs::remove_dir_all(&folder).expect("it goes");
    }
}

/// Time in appends alone.
fn append(journal: &Journal, writer: &mut Writer, records: u64, mentions: u64) -> Duration {
    let states: Vec<_> = (0..1_000).map(|number| (key(number), state(number, mentions))).collect();
    let mut took = Duration::ZERO;
    for _ in 0..records.div_ceil(states.len() as u64) {
        let reservation = wait(journal.reserve(states.len())).expect("room");
        let started = Instant::now();
        for (key, state) in &states {
            black_box(journal.append_state(key, state));
        }
        took += started.elapsed();
        drop(reservation);
        assert!(matches!(writer.step(), Step::Committed { .. }));
    }
    took
}

fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

/// So many tasks each append and wait, over and over, for about as many groups.
fn commits(folder: &Path, in_flight: usize, groups: usize) {
    let (mut ratios, mut rates, mut micros) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let journal = folder.join(format!("commits-{in_flight}-{round}"));
        let each = groups / 2;
        let took = through_journal(&journal, in_flight, each);
        let sizes = group_sizes(&journal);
        let bare = bare(&folder.join("bare"), &sizes);
        let records = (in_flight * each) as f64;
        ratios.push(took.as_secs_f64() / bare.as_secs_f64());
        rates.push(records / took.as_secs_f64() / 1e3);
        micros.push(took.as_secs_f64() * 1e6 / each as f64);
        println!(
            "    {} groups of {:.0} records, {:.0} us each bare",
            sizes.len(),
            records / sizes.len() as f64,
            bare.as_secs_f64() * 1e6 / sizes.len() as f64
        );
        fs::remove_dir_all(&journal).expect("it goes");
    }
    report(&format!("{in_flight} in flight"), "thousand records a second", rates);
    report(&format!("{in_flight} in flight, from append to durable"), "us", micros);
    report(&format!("{in_flight} in flight, against bare writes"), "x", ratios);
}

fn through_journal(folder: &Path, in_flight: usize, each: usize) -> Duration {
    let (journal, writer) = begin(folder);
    let thread = WriterThread::spawn(writer).expect("threads");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let took = runtime.block_on(async {
        tokio::spawn(journal.clone().herald());
        let started = Instant::now();
        let tasks = (0..in_flight as u64)
            .map(|task| tokio::spawn(append_and_wait(journal.clone(), task, each)));
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("it does not panic");
        }
        started.elapsed()
    });
    thread.close(None).expect("it closes");
    took
}

async fn append_and_wait(journal: Journal, task: u64, each: usize) {
    let (key, state) = (key(task), state(task, 0));
    for _ in 0..each {
        let reservation = journal.reserve(1).await.expect("room");
        let sequence = journal.append_state(&key, &state);
        drop(reservation);
        journal.reached(sequence).await.expect("it becomes durable");
    }
}

/// Bytes of each group in all segments of a journal.
fn group_sizes(folder: &Path) -> Vec<usize> {
    let mut sizes = Vec::new();
    let files = fs::read_dir(folder).expect("it lists").map(|file| file.expect("it lists").path());
    for path in files.filter(|path| path.extension().is_some_and(|ending| ending == "segment")) {
        let bytes = fs::read(path).expect("it reads");
        let mut at = SEGMENT_HEADER_BYTES;
        while let Some(header) = bytes.get(at..at + GROUP_HEADER_BYTES)
            && header[0] != 0
        {
            let length = u32::from_le_bytes([4, 5, 6, 7].map(|byte| header[byte]));
            sizes.push(group_bytes(length as usize));
            at += group_bytes(length as usize);
        }
    }
    sizes
}

/// Time to append these many bytes one after the other to a file of zeros, each with a sync.
fn bare(path: &Path, sizes: &[usize]) -> Duration {
    let file = File::create(path).expect("a file");
    let bytes = vec![7; sizes.iter().copied().max().unwrap_or(0)];
    let total: usize = sizes.iter().sum();
    file.write_all_at(&vec![0; total], 0).expect("room");
    file.sync_all().expect("it syncs");
    let started = Instant::now();
    let mut at = 0;
    for size in sizes {
        file.write_all_at(&bytes[..*size], at).expect("room");
        file.sync_data().expect("it syncs");
        at += *size as u64;
    }
    let took = started.elapsed();
    fs::remove_file(path).expect("it goes");
    took
}

/// Reads, checks and decodes a journal of so many states, out of the system's cache.
fn recovery(folder: &Path, records: u64) {
    let folder = folder.join("recovery");
    let (journal, mut writer) = begin(&folder);
    for first in (0..records).step_by(1_000) {
        let _reservation = wait(journal.reserve(1_000)).expect("room");
        for number in first..(first + 1_000).min(records) {
            // One of eight has mentions.
            let mentions = if number.is_multiple_of(8) { 3 } else { 0 };
            journal.append_state(&key(number), &state(number, mentions));
        }
        assert!(matches!(writer.step(), Step::Committed { .. }));
    }
    writer.close(None).expect("it closes");
    let rounds = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        let recovery = open(&folder);
        let replayed = recovery.replay::<JournalError>(&mut |_, record| {
            black_box(record);
            Ok(())
        });
        let replayed = replayed.expect("whole");
        assert_eq!(replayed.records, records + 1);
        (started.elapsed().as_secs_f64(), replayed.bytes)
    });
    let (seconds, bytes): (Vec<_>, Vec<_>) = rounds.unzip();
    println!("    {} MiB of records", bytes[0] >> 20);
    report(&format!("recovery of {records} states, without the cache"), "s", seconds);
}

fn report(what: &str, unit: &str, mut rounds: Vec<f64>) {
    rounds.sort_by(f64::total_cmp);
    let (least, most) = (rounds[0], rounds[rounds.len() - 1]);
    println!("{what}: {:.3} {unit} ({least:.3} to {most:.3})", rounds[rounds.len() / 2]);
}
