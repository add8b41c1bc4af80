//! What the simulated disk keeps and loses.

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

const EIO: i32 = 5;

fn cut(disk: &SimulatedDisk, seed: u64) -> Image {
    disk.power_cut(&mut StdRng::seed_from_u64(seed)).image()
}

fn named(disk: &SimulatedDisk, name: &str) -> Box<dyn DiskFile> {
    let file = disk.create(name).expect("no fault");
    disk.sync().expect("no fault");
    file
}

fn live(file: &dyn DiskFile) -> Vec<u8> {
    let mut bytes = vec![0; file.len().expect("no fault") as usize];
    file.read_at(0, &mut bytes).expect("no fault");
    bytes
}

#[test]
fn what_is_synced_survives_and_of_the_rest_any_part() {
    let disk = SimulatedDisk::default();
    let file = named(&disk, "a");
    file.write_at(0, &[1; 1024]).expect("no fault");
    file.sync_data().expect("no fault");
    file.write_at(512, &[2; 1024]).expect("no fault");
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0..64 {
        let bytes = cut(&disk, seed).remove("a").expect("it is named");
        assert_eq!(bytes[..512], [1; 512]);
        let second = bytes[512];
        assert!(second == 1 || second == 2);
        assert!(bytes[512..1024].iter().all(|byte| *byte == second), "pieces are whole");
        kinds.insert((second, bytes.len()));
    }
    assert_eq!(kinds.len(), 4, "each piece by itself: {kinds:?}");
    assert_eq!(disk.image()["a"], [1; 1024]);
}

#[test]
fn names_survive_once_the_folder_is_synced() {
    let disk = SimulatedDisk::default();
    named(&disk, "a").write_at(0, b"x").expect("no fault");
    disk.rename("a", "b").expect("no fault");
    let (mut old, mut new) = (0, 0);
    for seed in 0..32 {
        let image = cut(&disk, seed);
        old += u32::from(image.contains_key("a"));
        new += u32::from(image.contains_key("b"));
    }
    assert!(old > 0 && new > 0 && old + new == 32, "a rename is done or not: {old}, {new}");
    disk.sync().expect("no fault");
    disk.remove("b").expect("no fault");
    assert_eq!(disk.image().into_keys().collect::<Vec<_>>(), ["b"]);
    disk.sync().expect("no fault");
    assert!(disk.image().is_empty());
}

#[test]
fn a_failed_sync_forgets_what_it_should_have_written() {
    let disk = SimulatedDisk::default();
    let file = named(&disk, "a");
    file.write_at(0, b"lost").expect("no fault");
    disk.faults().fail(DiskCall::SyncData, 1, EIO);
    assert_eq!(file.sync_data().expect_err("a fault").raw_os_error(), Some(EIO));
    file.sync_data().expect("the fault was told once");
    assert_eq!(live(&*file), b"lost");
    for seed in 0..16 {
        assert_eq!(cut(&disk, seed)["a"], b"");
    }
    file.write_at(0, b"kept").and_then(|()| file.sync_data()).expect("no fault");
    assert_eq!(disk.image()["a"], b"kept");
}

#[test]
fn a_cut_write_leaves_its_start() {
    let disk = SimulatedDisk::default();
    let file = named(&disk, "a");
    disk.faults().cut_write(2, 3, 28);
    file.write_at(0, b"......").expect("the second one fails");
    file.write_at(0, b"abcdef").expect_err("a fault");
    assert_eq!(live(&*file), b"abc...");
    file.write_at(0, b"abcdef").expect("the fault was met once");
}

#[test]
fn faults_meet_the_call_the_file_and_the_time_that_were_asked_for() {
    let disk = SimulatedDisk::default();
    let (a, b) = (named(&disk, "a"), named(&disk, "b"));
    disk.faults().fail_on(DiskCall::Write, "b", 2, EIO);
    disk.faults().fail_all_on(DiskCall::SyncAll, "a", EIO);
    for _ in 0..3 {
        a.write_at(0, b"x").expect("another file");
        a.sync_all().expect_err("every time");
        b.sync_all().expect("another file");
    }
    b.write_at(0, b"x").expect("the first one");
    disk.rename("b", "c").expect("no fault");
    b.write_at(0, b"x").expect("it is not called so any more");
    disk.rename("c", "b").expect("no fault");
    b.write_at(0, b"x").expect_err("the second one");
    disk.faults().mend();
    a.sync_all().expect("it is mended");
    assert_eq!(disk.faults().calls(DiskCall::SyncAll), 7);
}

#[test]
fn a_disk_that_stops_changes_nothing_more() {
    let disk = SimulatedDisk::default();
    let file = named(&disk, "a");
    disk.faults().stop_after(2);
    file.write_at(0, b"x").expect("the first change");
    file.sync_data().expect("the second change");
    file.write_at(0, b"y").expect_err("stopped");
    disk.create("b").err().expect("stopped");
    assert_eq!(live(&*file), b"x", "reading goes on");
}

#[test]
fn a_lock_is_of_one_until_it_is_dropped() {
    let disk = SimulatedDisk::default();
    let held = disk.lock("lock").expect("it is free");
    assert_eq!(disk.lock("lock").err().expect("taken").kind(), io::ErrorKind::WouldBlock);
    drop(held);
    disk.lock("lock").expect("it is free again");
}

#[test]
fn damage_is_of_what_is_read_and_of_what_is_kept() {
    let disk = SimulatedDisk::restore(Image::from([("a".to_owned(), vec![1])]));
    disk.damage("a", |bytes| bytes[0] = 9);
    assert_eq!(live(&*disk.open("a").expect("it is there")), [9]);
    assert_eq!(disk.image()["a"], [9]);
}
