//! Instructions of what every call does, counted by valgrind: a gate that no busy machine moves.
//!
//! `.ci/counts` runs this and compares with `benches/counts.txt`; `.ci/counts --record` writes that
//! file anew. A figure is the sum over [`OPERATIONS`] operations, or over one group of as many
//! records. The profile `counts` is a release without optimisation across crates, whose link takes
//! longer than all counts. The allocator is the product's. Keys and ids are the same in every run;
//! the seeds of hashes are drawn anew, which is why each figure is a sum of many. Another compiler,
//! valgrind or C library moves figures: then write them down anew in a commit of their own.
//!
//! Three runs, Rust 1.95, valgrind 3.19, took 43 s each on a busy machine (20 s of processor time)
//! and differed by 2 instructions of 2.3 million, in one function. Of an access in memory, an ack
//! takes 2.5 times the instructions of a read, 4 times where the state becomes dirty; an insertion
//! over an evicted state takes 7 times as many. Eight mentions double what a row or a record takes.

#![allow(missing_docs, reason = "the macros make public items of what is private here")]

#[path = "counts/resident.rs"]
mod resident;
#[path = "load/usual.rs"]
mod usual;
#[path = "counts/written.rs"]
mod written;

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group};
use mimalloc::MiMalloc;
use prost::Message as _;
use readstates::{
    cache::{Access, Outcome},
    journal::{close_group, put_state},
    model::{Operation, ReadState, Sequence},
    proto::{AckRequest, AckResponse},
    store::codec,
};
use resident::{NOW, Resident, ack};
use written::{HOME, Written};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Of each function, but for those that work on a run or a group.
const OPERATIONS: u64 = 1_000;

/// A figure of work that was refused would say nothing.
fn assert_changed(outcome: Option<Outcome>) {
    assert!(matches!(outcome, Some(Ok(done)) if done.changed), "it is done");
}

#[library_benchmark]
#[bench::of_1000(Resident::new())]
fn cache_read(resident: Resident) -> Resident {
    for key in &resident.keys {
        let outcome = black_box(resident.cache.access(key, &Access::Read, &NOW));
        assert!(matches!(outcome, Some(Ok(_))), "it is in memory");
    }
    resident
}

// The state becomes dirty.
#[library_benchmark]
#[bench::of_1000(Resident::new())]
fn cache_first_ack(resident: Resident) -> Resident {
    for key in &resident.keys {
        assert_changed(black_box(resident.cache.access(key, &ack(10), &NOW)));
    }
    resident
}

// The state is dirty already.
#[library_benchmark]
#[bench::of_1000(Resident::dirty())]
fn cache_further_ack(resident: Resident) -> Resident {
    for key in &resident.keys {
        assert_changed(black_box(resident.cache.access(key, &ack(20), &NOW)));
    }
    resident
}

// Of dirty states of one shard: their turns, all that is looked up, and the changes.
#[library_benchmark]
#[bench::of_1000(Resident::dirty())]
fn cache_batch(resident: Resident) -> Resident {
    let turns = resident.cache.turns(&resident.acks);
    let mut left = &turns[..];
    while !left.is_empty() {
        let done = resident.cache.access_turns(&resident.acks, left, &NOW, |_, attempt| {
            assert_changed(black_box(attempt.make()));
        });
        left = &left[done..];
    }
    resident
}

// A ticket, and the admission over the oldest, clean state.
#[library_benchmark]
#[bench::of_1000(Resident::new())]
fn cache_insert(mut resident: Resident) -> Resident {
    for _ in 0..OPERATIONS {
        resident.insert();
    }
    resident
}

// A mention, in states that have none to seven, and an ack that takes eight away.
#[library_benchmark]
#[bench::of_1000(resident::mentions())]
fn ledger(operations: Vec<Operation>) -> ReadState {
    let mut state = ReadState::default();
    for operation in &operations {
        black_box(state.apply(operation));
    }
    state
}

#[library_benchmark]
#[bench::of_1000(Written::new(0))]
#[bench::of_1000_with_8_mentions(Written::new(8))]
fn row_encode(mut written: Written) -> Written {
    for (key, state) in &written.states {
        written.bytes.clear();
        codec::encode_into(&mut written.bytes, key, state);
        black_box(&written.bytes);
    }
    written
}

#[library_benchmark]
#[bench::of_1000(Written::new(0))]
#[bench::of_1000_with_8_mentions(Written::new(8))]
fn row_decode(written: Written) -> Written {
    for (key, row) in &written.rows {
        assert!(black_box(codec::decode(key, row)).is_ok());
    }
    written
}

#[library_benchmark]
#[bench::of_1000(Written::new(0))]
#[bench::of_1000_with_8_mentions(Written::new(8))]
fn journal_record(mut written: Written) -> Written {
    for (key, state) in &written.states {
        put_state(&mut written.bytes, key, state);
    }
    written
}

// Its checksum, above all.
#[library_benchmark]
#[bench::of_1000_records(Written::group())]
fn journal_group(mut written: Written) -> Written {
    black_box(close_group(&mut written.bytes, HOME, Sequence::new(1), OPERATIONS as u32));
    written
}

#[library_benchmark]
#[bench::of_1000(written::requests())]
fn proto_decode_ack(requests: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    for request in &requests {
        assert!(black_box(AckRequest::decode(&request[..])).is_ok());
    }
    requests
}

#[library_benchmark]
#[bench::of_1000(written::responses())]
fn proto_encode_ack((responses, mut bytes): (Vec<AckResponse>, Vec<u8>)) -> Vec<u8> {
    for response in &responses {
        bytes.clear();
        assert!(black_box(response.encode(&mut bytes)).is_ok());
    }
    bytes
}

library_benchmark_group!(
    name = counts,
    benchmarks = [
        cache_read,
        cache_first_ack,
        cache_further_ack,
        cache_batch,
        cache_insert,
        ledger,
        row_encode,
        row_decode,
        journal_record,
        journal_group,
        proto_decode_ack,
        proto_encode_ack,
    ]
);

gungraun::main!(library_benchmark_groups = counts);
