//! The cache with its journal: versions and records are given in one order (I7), and a start finds
//! what was acknowledged.

use std::{collections::BTreeMap, sync::Arc};

use readstates::{
    cache::{Cache, Log},
    flush::JournalLog,
    journal::{Journal, Record, SimulatedDisk, WriterThread},
    model::{Key, Sequence, Version},
};
use shuttle::{future::block_on, thread};

use crate::{
    explore,
    journal::{SMALL, begin, records},
    shard::{Scene, increment, key},
};

const UPDATERS: usize = 3;

/// Updates two keys, each durably; what was acknowledged.
fn update(scene: &Scene, journal: &Journal) -> Vec<(Key, Version, Sequence)> {
    let mut acknowledged = Vec::new();
    for channel in [1, 2] {
        let done = {
            let _room = block_on(journal.reserve(1)).expect("there is room");
            scene.update(key(channel), &increment()).expect("nobody closes")
        };
        let record = done.unflushed.expect("it has just changed");
        block_on(journal.reached(record)).expect("nothing fails");
        acknowledged.push((key(channel), done.view.version, record));
    }
    acknowledged
}

#[test]
fn the_journal_order_of_a_key_is_its_version_order() {
    explore(|| {
        let disk = SimulatedDisk::default();
        let (journal, writer) = begin(&disk, SMALL);
        let writer = WriterThread::spawn(writer).expect("threads");
        let log: Arc<dyn Log> = Arc::new(JournalLog(journal.clone()));
        let scene = Scene::over(2, |sizing| Cache::with_log(sizing, Version::ZERO, 0, &log));
        let updaters: Vec<_> = (0..UPDATERS)
            .map(|_| {
                let (scene, journal) = (scene.clone(), journal.clone());
                thread::spawn(move || update(&scene, &journal))
            })
            .collect();
        let flushing = scene.clone();
        let flusher = thread::spawn(move || (0..2).for_each(|_| flushing.flush()));
        let acknowledged: Vec<_> =
            updaters.into_iter().flat_map(|updater| updater.join().expect("no panic")).collect();
        flusher.join().expect("no panic");
        scene.cache.self_check();
        writer.close(None).expect("nothing fails");
        let mut newest: BTreeMap<Key, Version> = BTreeMap::new();
        let kept = records(disk.image());
        for (sequence, record) in &kept {
            let Record::State { key, state } = record else { continue };
            let before = newest.insert(*key, state.version());
            assert!(before < Some(state.version()), "I7: {key:?} at {sequence}");
            assert!(acknowledged.contains(&(*key, state.version(), *sequence)));
        }
        let states = kept.iter().filter(|(_, record)| matches!(record, Record::State { .. }));
        assert_eq!(states.count(), acknowledged.len());
    });
}
