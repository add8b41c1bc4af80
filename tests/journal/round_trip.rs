//! Random groups of random records, in segments of random lengths, come back as they went in.

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::journal::Record;

use crate::{builder::Builder, draw::draw_record, reading::read};

#[test]
fn random_groups_of_random_records_come_back() {
    for seed in 0..200 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut builder = Builder::new(rng.random_range(8 << 10..64 << 10));
        for _ in 0..rng.random_range(0..40) {
            match rng.random_range(0..20) {
                0 => builder.roll(),
                1 => drop(builder.begin()),
                _ => {}
            }
            let records: Vec<Record> =
                (1..=rng.random_range(1..4)).map(|micros| draw_record(&mut rng, micros)).collect();
            builder.group(&records);
        }
        builder.write_manifest();
        let read = read(&builder.disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(read, builder.records, "seed {seed}");
    }
}
