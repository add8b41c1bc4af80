//! `readstates journal`, as an operator runs it while the server is down.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use readstates::{
    journal::{FolderDisk, JournalOptions, Record, Recovery},
    model::Version,
    store::CommitNumber,
    store::StoreIdentity,
};
use serde_json::Value;
use tempfile::TempDir;

/// A data directory with a journal of three groups and a seal.
fn data_dir() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = FolderDisk::of_journal(directory.path()).expect("it is made");
    let options = JournalOptions { segment_bytes: 16 << 10, ..JournalOptions::default() };
    let mut recovery = Recovery::open(Arc::new(disk), options).expect("it is new");
    let store = StoreIdentity { id: 9, commits: CommitNumber(0), upto: None };
    recovery.check_store(store).expect("a new journal takes any");
    let (journal, mut writer) = recovery.begin().expect("there is room");
    drop(recovery);
    for micros in [10, 20, 30] {
        journal.append_ceiling(Version::from_micros(micros));
        writer.step();
    }
    writer.close(None).expect("it is sealed");
    directory
}

fn segment(data_dir: &Path) -> PathBuf {
    data_dir.join("journal/00000000000000000001.segment")
}

/// Changes the second of the three groups.
fn damage(data_dir: &Path) {
    let path = segment(data_dir);
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[4096 + 48 + 35] ^= 1;
    fs::write(path, bytes).expect("it is written");
}

fn run(data_dir: &Path, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_readstates"));
    command.arg("journal").args(words).arg("--data-dir").arg(data_dir);
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("it exits"), text(stdout), text(stderr))
}

fn json(data_dir: &Path, words: &[&str], code: i32) -> Value {
    let (found, stdout, stderr) = run(data_dir, &[words, &["--json"]].concat());
    assert_eq!(found, code, "{stderr}");
    serde_json::from_str(&stdout).expect("JSON")
}

#[test]
fn without_a_journal_the_directory_is_in_doubt() {
    let directory = tempfile::tempdir().expect("a directory");
    for words in [&["inspect"][..], &["repair"], &["repair", "--accept-loss"]] {
        let (code, stdout, stderr) = run(directory.path(), words);
        assert_eq!((code, stdout.as_str()), (64, ""));
        assert!(stderr.contains("there is no journal in"), "{stderr}");
    }
    assert_eq!(fs::read_dir(directory.path()).expect("it lists").count(), 0, "none is made");
}

#[test]
fn a_whole_journal_is_shown_and_left_alone() {
    let directory = data_dir();
    let before = fs::read(segment(directory.path())).expect("it is there");
    let (code, stdout, stderr) = run(directory.path(), &["inspect"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("journal is whole.\n"), "{stdout}");
    assert!(stdout.contains("replay     4 records after it"), "{stdout}");
    assert!(stdout.ends_with("  seal\n"), "{stdout}");
    let told = json(directory.path(), &["inspect"], 0);
    assert_eq!((&told["whole"], &told["in_use"]), (&Value::Bool(true), &Value::Bool(false)));
    assert_eq!(told["segments"][0]["records"], "4");
    let (code, stdout, _) = run(directory.path(), &["repair", "--accept-loss"]);
    assert_eq!((code, stdout.as_str()), (0, "the journal is whole; there is nothing to repair\n"));
    assert!(fs::read(segment(directory.path())).expect("it is there") == before);
}

#[test]
fn a_damaged_journal_is_told_of_and_repaired_once_the_loss_is_accepted() {
    let directory = data_dir();
    let path = directory.path();
    damage(path);
    let (code, stdout, _) = run(path, &["inspect"]);
    assert_eq!(code, 1);
    let lost = "lost: 1 record, each a change that the store may not have\n  record 2\n";
    for part in ["DAMAGED", "segment at byte 4144: no whole group", lost] {
        assert!(stdout.contains(part), "{stdout}");
    }
    let command = format!("readstates journal repair --accept-loss --data-dir {}", path.display());
    assert!(stdout.trim_end().ends_with(&command), "{stdout}");
    let told = json(path, &["inspect"], 1);
    assert_eq!(told["problems"][0]["offset"], "4144");
    assert_eq!(told["missing"], serde_json::json!([["2", "2"]]));

    let (code, stdout, stderr) = run(path, &["repair"]);
    assert_eq!(code, 64);
    assert!(stdout.contains(&format!("{lost}kept: 3 records")), "{stdout}");
    assert!(stderr.contains("nothing was changed"), "{stderr}");
    assert_eq!(json(path, &["inspect"], 1), told);

    let (code, stdout, stderr) = run(path, &["repair", "--accept-loss"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("00000000000000000001.segment.damaged"), "{stdout}");
    let told = json(path, &["inspect"], 0);
    assert_eq!(told["replay_records"], "5", "three, the ceiling anew, and a new seal");
}

#[test]
fn a_journal_in_use_is_shown_and_not_repaired() {
    let directory = data_dir();
    damage(directory.path());
    let lock = fs::File::open(directory.path().join("journal/lock")).expect("it is there");
    lock.lock().expect("it is free");
    let (code, stdout, _) = run(directory.path(), &["inspect"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("in use by a server"), "{stdout}");
    let (code, _, stderr) = run(directory.path(), &["repair", "--accept-loss"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("is in use by another process"), "{stderr}");
}

#[test]
fn what_a_newer_release_wrote_is_neither_damage_nor_repaired() {
    let directory = data_dir();
    let path = directory.path().join("journal/manifest");
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[8] = 2;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..]);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    fs::write(&path, &bytes).expect("it is written");
    let (code, stdout, _) = run(directory.path(), &["inspect"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("Start that release or a later one"), "{stdout}");
    assert!(!stdout.contains("accept-loss"), "{stdout}");
    let (code, _, stderr) = run(directory.path(), &["repair", "--accept-loss"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("is of a newer release: it has format 2"), "{stderr}");
    assert_eq!(fs::read(&path).expect("it is there"), bytes);
}

/// The records that a repair keeps are what a start then replays.
#[test]
fn a_repaired_journal_is_begun_again() {
    let directory = data_dir();
    damage(directory.path());
    run(directory.path(), &["repair", "--accept-loss"]);
    let disk = FolderDisk::of_journal(directory.path()).expect("it is there");
    let mut recovery =
        Recovery::open(Arc::new(disk), JournalOptions::default()).expect("it is whole");
    let store = StoreIdentity { id: 9, commits: CommitNumber(0), upto: None };
    recovery.check_store(store).expect("it is the same store");
    let mut records = Vec::new();
    recovery
        .replay::<readstates::journal::JournalError>(&mut |_, record| {
            records.push(record);
            Ok(())
        })
        .expect("it parses");
    let ceiling = |micros| Record::Ceiling(Version::from_micros(micros));
    assert_eq!(records, [ceiling(10), ceiling(30), Record::Seal, ceiling(30), Record::Seal]);
}
