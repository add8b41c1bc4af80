//! The same work on one thread and on several at once, each on a processor of its own.

use std::{sync::Barrier, thread, time::Instant};

use crate::cores::confine;

/// Operations a second of `threads` threads together; `work` is told which of them it is on, and
/// answers how many it did.
pub fn together(threads: usize, work: impl Fn(usize) -> u64 + Sync) -> f64 {
    let start = Barrier::new(threads);
    thread::scope(|scope| {
        let run = |thread| {
            let (start, work) = (&start, &work);
            move || {
                confine(None, thread).expect("a thread may choose its processor");
                start.wait();
                let started = Instant::now();
                let done = work(thread);
                done as f64 / started.elapsed().as_secs_f64()
            }
        };
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(run(thread))).collect();
        running.into_iter().map(|thread| thread.join().expect("it does not panic")).sum()
    })
}
