//! What bytes cost: rows of the store, records of the journal, messages of the contract.
//!
//! `cargo bench --bench codec`; `cargo test --bench codec` only looks whether everything runs.
//! Processor time of one thread for each of a thousand different states in turn, which stay in the
//! processor's caches. Instructions of the same functions: benches/counts.rs.
//!
//! 2026-11-23, AMD EPYC (2 virtual processors, shared), Linux, fat LTO, nanoseconds, medians of 5
//! (least to most):
//!
//! | mentions | bytes of a row | row, encode | row, decode | journal record |
//! |---|---|---|---|---|
//! | 0 | 26 | 94 (88-98) | 188 (184-200) | 98 (88-100) |
//! | 8 | 71 | 196 (182-196) | 352 (350-362) | 210 (206-216) |
//! | 128 | 672 | 1606 (1272-1624) | 1070 (1040-1100) | 1286 (1230-1408) |
//!
//! A group of 1,000 records is closed at 2 ns a record, an `AckRequest` decoded in 16 ns, an
//! `AckResponse` encoded in 32 ns.

#[path = "load/cores.rs"]
mod cores;
#[path = "load/usual.rs"]
mod usual;
#[path = "counts/written.rs"]
mod written;

use std::{fs, hint::black_box, time::Instant};

use mimalloc::MiMalloc;
use prost::Message as _;
use readstates::{
    journal::{close_group, put_state},
    model::{LEDGER_MAX, Sequence},
    proto::{AckRequest, AckResponse},
    store::codec,
};
use written::{HOME, Written};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const OPERATIONS: u64 = 1_000;
const ROUNDS: usize = 5;
const CORE: usize = 0;

fn main() {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let repeat = if smoke { 1 } else { 2_000 };
    cores::confine(None, CORE).expect("a thread may choose its processor");
    for mentions in [0, 8, LEDGER_MAX as u64] {
        let Written { states, rows, mut bytes } = Written::new(mentions);
        let length: usize = rows.iter().map(|(_, row)| row.len()).sum();
        println!("{mentions} mentions, a row of {} bytes", length / rows.len());
        measure("row, encode", repeat, || {
            for (key, state) in &states {
                bytes.clear();
                codec::encode_into(&mut bytes, key, state);
                black_box(&bytes);
            }
        });
        measure("row, decode", repeat, || {
            for (key, row) in &rows {
                let _ = black_box(codec::decode(key, row));
            }
        });
        measure("journal record", repeat, || {
            bytes.clear();
            for (key, state) in &states {
                put_state(&mut bytes, key, state);
            }
            black_box(&bytes);
        });
    }
    group(repeat);
    messages(repeat);
}

/// The checksum of a group, for each of its records.
fn group(repeat: usize) {
    let mut bytes = Written::group().bytes;
    println!("a group of {OPERATIONS} records, {} bytes", bytes.len());
    let padded = bytes.len();
    measure("group, close", repeat, || {
        bytes.truncate(padded);
        black_box(close_group(&mut bytes, HOME, Sequence::new(1), OPERATIONS as u32));
    });
}

fn messages(repeat: usize) {
    let requests = written::requests();
    println!("a request of {} bytes", requests[0].len());
    measure("AckRequest, decode", repeat, || {
        for request in &requests {
            let _ = black_box(AckRequest::decode(&request[..]));
        }
    });
    let (responses, mut bytes) = written::responses();
    println!("a response of {} bytes", responses[0].encoded_len());
    measure("AckResponse, encode", repeat, || {
        for response in &responses {
            bytes.clear();
            let _ = black_box(AckResponse::encode(response, &mut bytes));
        }
    });
}

/// Nanoseconds for each of the operations of a run.
fn measure(what: &str, repeat: usize, mut run: impl FnMut()) {
    run();
    let mut rounds = [0.0; ROUNDS];
    for round in &mut rounds {
        let started_ns = now_ns();
        for _ in 0..repeat {
            run();
        }
        *round = (now_ns() - started_ns) as f64 / (repeat as f64 * OPERATIONS as f64);
    }
    rounds.sort_by(f64::total_cmp);
    let (least, most) = (rounds[0], rounds[ROUNDS - 1]);
    println!("    {what}: {:.1} ns ({least:.1} to {most:.1})", rounds[ROUNDS / 2]);
}

/// Processor time of this thread; time as it passes where the system does not say.
fn now_ns() -> u64 {
    static STARTED: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let on_processor = stat.split_whitespace().next().and_then(|ns| ns.parse().ok());
    on_processor.unwrap_or_else(|| STARTED.elapsed().as_nanos() as u64)
}
