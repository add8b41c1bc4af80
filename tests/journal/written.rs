//! A journal as the writer leaves it, rolled and reopened, damaged in any of its bytes.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    journal::{Disk as _, JournalOptions, Record, SimulatedDisk},
    model::Sequence,
};

use crate::{
    draw::draw_record,
    reading::{open, prefix_read, read},
    scene::{Scene, TINY, Truth},
};

/// No segment is freed.
const OPTIONS: JournalOptions = JournalOptions { size_bytes: u64::MAX, ..TINY };

const RECORDS: u64 = 700;

/// One byte of so many is damaged, from a random one on.
const STRIDE: usize = 5;

/// Groups of random lengths, a process that was killed in between, a seal at the end.
fn written(rng: &mut StdRng) -> (SimulatedDisk, Vec<(Sequence, Record)>) {
    let (mut scene, disk) = Scene::new(OPTIONS);
    for micros in 1..=RECORDS {
        scene.append(draw_record(rng, micros)).expect("there is room");
        if rng.random_bool(0.2) {
            scene.drain();
        }
        if micros == RECORDS / 2 {
            scene.drain();
            let truth: Truth = scene.kill();
            scene = Scene::begin(&disk, OPTIONS, truth).expect("it is whole");
        }
    }
    scene.drain();
    scene.seal();
    scene.drain();
    (disk, scene.kill().written)
}

#[test]
fn a_journal_that_the_writer_wrote_shows_any_damaged_byte() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (disk, written) = written(&mut rng);
    assert!(matches!(written.last(), Some((_, Record::Seal))));
    assert_eq!(read(&disk).expect("it is whole"), written);
    let names = disk.names().expect("it lists");
    let counting = names.iter().filter(|name| name.ends_with("segment") || *name == "manifest");
    let image = disk.image();
    for name in counting {
        for byte in (rng.random_range(0..STRIDE)..image[name].len()).step_by(STRIDE) {
            let mask = rng.random_range(1..=u8::MAX);
            disk.damage(name, |bytes| bytes[byte] ^= mask);
            if let Some(read) = prefix_read(&disk, &written) {
                assert!(read >= written.len() - 1, "byte {byte} of {name}: {read} read");
            }
            disk.damage(name, |bytes| bytes[byte] ^= mask);
        }
    }
}

#[test]
fn a_journal_that_the_writer_wrote_misses_none_of_its_segments() {
    let (disk, _) = written(&mut StdRng::seed_from_u64(3));
    let image = disk.image();
    let segments: Vec<_> = image.keys().filter(|name| name.ends_with("segment")).collect();
    assert!(segments.len() >= 4, "{segments:?}");
    for gone in segments {
        let mut image = image.clone();
        image.remove(gone);
        assert!(open(&SimulatedDisk::restore(image)).is_err(), "without {gone} it was read");
    }
}
