//! All threads of a run, from their start to the report.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::{
    collector::Collector,
    meter::Sample,
    period::{Course, Period},
    plan::Plan,
    report::Report,
    slice::Slice,
    text,
    worker::{Remainder, Worker},
};
use crate::cli::{failure::Failure, target::Address};

/// Slices of each thread that may wait to be taken in.
const SLICES_WAITING_MAX: usize = 4;
/// From the last connection to the beginning, for all threads to hear of it.
const START_DELAY: Duration = Duration::from_millis(20);
/// How often the bar moves.
const BAR_EVERY: Duration = Duration::from_millis(100);

/// The threads of a run.
pub struct Fleet {
    plan: Arc<Plan>,
    course: watch::Sender<Course>,
    slices: mpsc::Receiver<Slice>,
    threads: Vec<JoinHandle<Result<Remainder, Status>>>,
    /// The process of the server.
    pid: Option<u32>,
    bar: ProgressBar,
}

impl Fleet {
    /// Starts the threads and waits until they have connected.
    pub async fn start(
        plan: Plan,
        target: Address,
        pid: Option<u32>,
        bar: ProgressBar,
    ) -> Result<Self, Failure> {
        let plan = Arc::new(plan);
        let (course, hears) = watch::channel(Course::default());
        let (slices_to, slices) = mpsc::channel(SLICES_WAITING_MAX * plan.threads);
        let (ready_to, mut ready) = mpsc::channel(plan.threads);
        let worker = |thread| Worker {
            plan: plan.clone(),
            thread,
            target: target.clone(),
            course: hears.clone(),
            ready: Some(ready_to.clone()),
            slices: slices_to.clone(),
        };
        let threads = (0..plan.threads).map(|thread| spawn(worker(thread)));
        let threads = threads.collect::<Result<Vec<_>, _>>()?;
        drop((ready_to, slices_to));
        let mut connected = 0;
        while ready.recv().await.is_some() {
            connected += 1;
        }
        let fleet = Self { plan, course, slices, threads, pid, bar };
        if connected < fleet.threads.len() {
            fleet.join().await?;
            return Err(Status::internal("a thread ended before it began").into());
        }
        Ok(fleet)
    }

    /// Runs to the end, or until `stop` ends, and reports.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Result<Report, Failure> {
        let begin = Instant::now() + START_DELAY;
        let period = Period::new(&self.plan, begin);
        self.course.send_modify(|course| course.begin = Some(begin));
        let mut collector = Collector::new(self.plan.threads);
        let (samples, interrupted) = self.watch(&period, &mut collector, stop).await;
        let bar = self.bar.clone();
        let plan = self.plan.clone();
        let remainders = self.join().await;
        bar.finish_and_clear();
        remainders?.iter().for_each(|remainder| collector.take_remainder(remainder));
        Ok(Report { interrupted, ..collector.report(&plan, &period, &samples) })
    }

    /// Takes in slices, and samples at the edges of windows, until all threads have ended.
    async fn watch(
        &mut self,
        period: &Period,
        collector: &mut Collector,
        stop: impl Future<Output = ()>,
    ) -> (Vec<Sample>, bool) {
        let mut samples = Vec::new();
        let mut interrupted = false;
        let mut bar_moves = tokio::time::interval(BAR_EVERY);
        tokio::pin!(stop);
        self.bar.set_length((period.end() - period.begin).as_millis() as u64);
        loop {
            let sample_at = period.window_begin(samples.len());
            tokio::select! {
                slice = self.slices.recv() => {
                    let Some(slice) = slice else { break };
                    if let Some(closed) = collector.take(&slice) {
                        self.bar.set_message(text::closed(closed, self.plan.window_seconds));
                    }
                }
                () = tokio::time::sleep_until(sample_at.into()),
                    if samples.len() <= period.windows() => samples.push(Sample::take(self.pid)),
                _ = bar_moves.tick() => self.move_bar(period),
                () = &mut stop, if !interrupted => {
                    interrupted = true;
                    let now = Instant::now();
                    period.cut(now);
                    self.course.send_modify(|course| course.stop = Some(now));
                }
            }
        }
        // Threads that had nothing more to do end a little before the end.
        if samples.len() <= period.windows() {
            samples.push(Sample::take(self.pid));
        }
        (samples, interrupted)
    }

    fn move_bar(&self, period: &Period) {
        let passed = Instant::now().saturating_duration_since(period.begin).as_millis() as u64;
        self.bar.set_position(passed.min(self.bar.length().unwrap_or(passed)));
    }

    /// What each thread says at its end; the first failure goes before all.
    async fn join(self) -> Result<Vec<Remainder>, Failure> {
        // Those that still wait for the beginning wait no longer.
        drop((self.course, self.slices));
        let join = move || -> Result<Vec<Remainder>, Status> {
            let lost = || Status::internal("a thread of the generator was lost");
            self.threads.into_iter().map(|thread| thread.join().map_err(|_| lost())?).collect()
        };
        let joined = tokio::task::spawn_blocking(join).await;
        Ok(joined.map_err(|error| Status::internal(error.to_string()))??)
    }
}

fn spawn(worker: Worker) -> Result<JoinHandle<Result<Remainder, Status>>, Failure> {
    let name = format!("bench-{}", worker.thread);
    Ok(std::thread::Builder::new().name(name).spawn(move || worker.work())?)
}
