//! A runtime per core against one that its threads share: what a call costs in each.
//!
//! `cargo bench --bench runtime` (READSTATES_BENCH_ENTRIES=1000000, READSTATES_BENCH_SECONDS=4,
//! READSTATES_BENCH_DIR for the journal's disk); `cargo test --bench runtime` only looks whether
//! everything runs. All forms are there at once and measured in turns. Forms of one thread are
//! confined to one processor and the clients (see load/wire.rs) to another; forms of more threads
//! share theirs with the clients, so of those only the processor time of a call means something.
//! With READSTATES_TEST_STRACE it also tells how many answers the built program gives with one
//! write of a socket; `-- writes` only that.
//!
//! 2026-11-23, AMD EPYC (2 virtual processors, shared), Linux, fat LTO, 500,000 entries, rounds of
//! 2 seconds, medians of 5 (least to most); a runtime per core against one that is shared:
//!
//! | | rate, 1 thread | serving time, 1 thread | rate, 2 threads |
//! |---|---|---|---|
//! | health, memory | 1.98 (1.74-2.58) | 0.51 (0.39-0.57) | 2.17 (1.94-2.34) |
//! | ack, memory | 1.69 (1.62-1.72) | 0.59 (0.58-0.62) | 1.97 (1.80-2.16) |
//! | health, journal | 1.97 (1.62-2.10) | 0.51 (0.48-0.62) | 1.86 (1.83-2.15) |
//! | ack, journal | 1.55 (1.43-1.90) | 0.66 (0.55-0.71) | 1.53 (1.28-2.12) |
//!
//! Answers to one write of a socket, states in memory, 3 seconds: 63.8 and 63.9 (ack, health) per
//! core, 37.7 for journaled acks; 1.6 and 1.6, 2.7 on a shared runtime.
//!
//! - A runtime per core is the default: a shared one wakes a connection's task as soon as there is
//!   one answer, on another thread or the same, and each goes out alone.
//! - Where states have to be loaded first, answers come one by one in either form: 2.5 to a write.

#[path = "load/cores.rs"]
mod cores;
#[path = "load/fill.rs"]
mod fill;
#[path = "load/node.rs"]
mod node;
#[path = "load/setting.rs"]
mod setting;
#[path = "load/shown.rs"]
mod shown;
#[path = "load/states.rs"]
mod states;
#[path = "load/threads.rs"]
mod threads;
#[path = "load/wire.rs"]
mod wire;
#[path = "runtime/writes.rs"]
mod writes;

use std::time::Duration;

use fill::fill;
use node::{CLIENT_CORE, Node, Outcome, SERVING, SERVING_CORE, as_client};
use readstates::config::{Config, Durability, RuntimeForm};
use setting::setting;
use shown::show;
use states::CONNECTIONS;
use threads::Spent;
use wire::Call;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const IN_FLIGHT: usize = 256;
const ROUNDS: usize = 5;
/// States of the built program whose answers are counted: so few that the first calls make them.
const RESIDENT: u64 = 1_000;
/// Names the program that counts system calls; without it they are not counted.
const STRACE: &str = "READSTATES_TEST_STRACE";

fn main() -> Outcome<()> {
    let smoke = !std::env::args().any(|argument| argument == "--bench");
    let entries = setting("READSTATES_BENCH_ENTRIES", if smoke { 10_000 } else { 1_000_000 });
    let duration = node::round(smoke, setting("READSTATES_BENCH_SECONDS", 4));
    println!("{entries} entries, {IN_FLIGHT} in flight over {CONNECTIONS} connections");
    let calls = [("health", Call::Health), ("ack", Call::Ack(0..entries))];
    if std::env::args().any(|argument| argument == "writes") {
        return count_writes(duration);
    }
    for durability in [Durability::Memory, Durability::Journal] {
        println!("\n--durability {durability:?}");
        let mut forms = vec![
            Form::start(RuntimeForm::PerCore, 1, durability, entries)?,
            Form::start(RuntimeForm::Shared, 1, durability, entries)?,
        ];
        threads::confine_named(SERVING, SERVING_CORE)?;
        forms.push(Form::start(RuntimeForm::PerCore, 2, durability, entries)?);
        forms.push(Form::start(RuntimeForm::Shared, 2, durability, entries)?);
        for form in &forms {
            fill(form.node.address, entries)?;
        }
        for (what, call) in &calls {
            compare(&forms, what, call, duration)?;
        }
        forms.into_iter().try_for_each(|form| form.node.stop())?;
    }
    count_writes(duration)
}

/// Answers to one write, of the built program with one thread.
fn count_writes(duration: Duration) -> Outcome<()> {
    let Some(strace) = std::env::var_os(STRACE) else { return Ok(()) };
    println!("\nanswers to a write of the socket, and to a wake of another thread");
    let calls = [("health", Call::Health), ("ack", Call::Ack(0..RESIDENT))];
    for form in ["per-core", "shared"] {
        for durability in ["memory", "journal"] {
            for (what, call) in &calls {
                let form = format!("--runtime={form}");
                let flags = [&form, "--serve-threads=1", "--durability", durability];
                let counted = writes::count(strace.as_ref(), &flags, duration, call)?;
                let each = |count: u64| counted.answers as f64 / count as f64;
                let (sends, wakes) = (each(counted.sends), each(counted.wakes));
                println!("  {form}, {durability}, {what}: {sends:.1}, {wakes:.1}");
            }
        }
    }
    Ok(())
}

/// One call at every form in every round, and what the rounds came to.
fn compare(forms: &[Form], what: &str, call: &Call, duration: Duration) -> Outcome<()> {
    let mut samples = vec![Vec::new(); forms.len()];
    for _ in 0..ROUNDS {
        for (samples, form) in samples.iter_mut().zip(forms) {
            samples.push(form.sample(call, duration)?);
        }
    }
    println!("{what}, medians of {ROUNDS} rounds (least to most):");
    for (samples, form) in samples.iter().zip(forms) {
        println!("  {}", form.name);
        show("calls a second", samples.iter().map(|sample| sample.rate));
        show("us a call, serving", samples.iter().map(|sample| sample.serving_us));
        show("us a call, client", samples.iter().map(|sample| sample.client_us));
    }
    for pair in [0, 2] {
        println!("  {} / {}", forms[pair].name, forms[pair + 1].name);
        let pairs = || samples[pair].iter().zip(&samples[pair + 1]);
        show("of the rate", pairs().map(|(one, other)| one.rate / other.rate));
        show("of the serving time", pairs().map(|(one, other)| one.serving_us / other.serving_us));
    }
    Ok(())
}

/// What one call in one round came to.
#[derive(Clone, Copy, Debug)]
struct Sample {
    rate: f64,
    serving_us: f64,
    client_us: f64,
}

/// One form of the server.
struct Form {
    name: String,
    node: Node,
}

impl Form {
    fn start(
        runtime: RuntimeForm,
        threads: usize,
        durability: Durability,
        entries: u64,
    ) -> Outcome<Self> {
        let config = Config {
            cache_entries: Some(node::places(entries)),
            flush_after: Duration::from_secs(1),
            durability,
            runtime,
            serve_threads: Some(threads),
            ..Config::default()
        };
        let name = format!("{runtime:?}, {threads} threads");
        Ok(Self { name, node: Node::start(config)? })
    }

    fn sample(&self, call: &Call, duration: Duration) -> Outcome<Sample> {
        // The other servers' threads have the same names, and nothing to do.
        let before = Spent::now()?;
        let outcome = as_client(|| {
            Ok(wire::rate(self.node.address, CONNECTIONS, IN_FLIGHT, duration, call)?)
        })?;
        let spent = Spent::now()? - &before;
        let calls = outcome.calls as f64;
        let each_us = |spent: Duration| spent.as_secs_f64() * 1e6 / calls;
        Ok(Sample {
            rate: calls / outcome.elapsed.as_secs_f64(),
            serving_us: each_us(spent.of(SERVING)),
            client_us: each_us(outcome.client),
        })
    }
}
