//! One thread of the generator: a runtime of its own, connections of its own, and callers that
//! never leave it, so that nothing of a call is shared between threads.

use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinSet, LocalSet},
};
use tonic::Status;

use super::{
    caller::Calls,
    deck::Deck,
    ids::Ids,
    link::Link,
    pace::Pace,
    period::{Course, Period},
    plan::Plan,
    recorder::Recorder,
    schedule::Schedule,
    slice::Slice,
    stream::converse,
};
use crate::cli::{latency::Latency, target::Address};

/// How long answers are waited for after the end.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// What one thread is to do.
#[derive(Clone)]
pub struct Worker {
    /// The load of all threads.
    pub plan: Arc<Plan>,
    /// Which of them this is.
    pub thread: usize,
    /// The server.
    pub target: Address,
    /// When it begins and ends.
    pub course: watch::Receiver<Course>,
    /// Told once all connections are there, and dropped.
    pub ready: Option<mpsc::Sender<()>>,
    /// Where each window goes when it is over.
    pub slices: mpsc::Sender<Slice>,
}

/// What a thread says at its end, besides its slices.
#[derive(Debug, Default)]
pub struct Remainder {
    /// Calls that were meant to be sent and were not.
    pub unsent: u64,
    /// How late calls were sent that a caller was waiting for.
    pub lag: Latency,
}

impl Worker {
    /// Does it all, on this thread.
    pub fn work(self) -> Result<Remainder, Status> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Status::internal(format!("no runtime: {error}")))?;
        LocalSet::new().block_on(&runtime, self.run())
    }

    async fn run(mut self) -> Result<Remainder, Status> {
        let mut links = Vec::new();
        for _ in share(self.plan.connections, &self) {
            links.push(Link::connect(self.target.clone()).await?);
        }
        // Nobody hears it only where another thread has failed: then there is no beginning either.
        if let Some(ready) = self.ready.take() {
            ready.send(()).await.ok();
        }
        let Some(begin) = self.beginning().await else { return Ok(Remainder::default()) };
        let period = Rc::new(Period::new(&self.plan, begin));
        let pace = Pace::new(period.clone(), Schedule::new(&self.plan, begin, self.thread));
        let recorder = Rc::new(Recorder::new(period.clone()));
        let crew = Crew { links, period, pace: Rc::new(pace), recorder };
        tokio::time::sleep_until(begin.into()).await;
        self.play(crew).await
    }

    /// `None` where there is none, because another thread has failed.
    async fn beginning(&mut self) -> Option<Instant> {
        self.course.wait_for(|course| course.begin.is_some()).await.ok()?.begin
    }

    /// Lets everybody work, and waits for the end.
    async fn play(&self, crew: Crew) -> Result<Remainder, Status> {
        let mut callers = self.callers(&crew);
        let turning = tokio::task::spawn_local(turn(crew.clone(), self.slices.clone()));
        let pace = crew.pace.clone();
        let pacing = tokio::task::spawn_local(async move { pace.keep().await });
        let all_are_done = async { while callers.join_next().await.is_some() {} };
        tokio::select! {
            () = all_are_done => {}
            () = self.patience(&crew) => crew.recorder.give_up(),
        }
        turning.abort();
        pacing.abort();
        self.slices.send(crew.recorder.turn()).await.ok();
        match crew.recorder.refused() {
            Some(refused) => Err(refused),
            None => Ok(Remainder { unsent: crew.pace.unsent(), lag: crew.pace.take_lag() }),
        }
    }

    fn callers(&self, crew: &Crew) -> JoinSet<()> {
        let ids = Rc::new(Ids::new(self.thread));
        let links = crew.links.iter().cycle();
        // One stream on each connection, or as many callers as there may be calls.
        let count = if self.plan.stream { self.plan.connections } else { self.plan.concurrency };
        let mut callers = JoinSet::new();
        for (caller, link) in share(count, self).zip(links) {
            let calls = Calls {
                link: link.clone(),
                deck: Deck::new(&self.plan, caller, ids.clone()),
                batch: self.plan.batch,
                pace: crew.pace.clone(),
                recorder: crew.recorder.clone(),
            };
            if self.plan.stream {
                callers.spawn_local(converse(calls, self.plan.pipeline));
            } else {
                callers.spawn_local(calls.make());
            }
        }
        callers
    }

    /// Ends when answers have been waited for long enough.
    async fn patience(&self, crew: &Crew) {
        let mut course = self.course.clone();
        let stop = async {
            match course.wait_for(|course| course.stop.is_some()).await.map(|course| course.stop) {
                Ok(Some(stop)) => crew.pace.stop(stop),
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = tokio::time::sleep_until(crew.period.end().into()) => {}
            () = stop => {}
        }
        tokio::time::sleep(DRAIN_DEADLINE).await;
    }
}

/// What the callers of a thread share.
#[derive(Clone)]
struct Crew {
    links: Vec<Link>,
    period: Rc<Period>,
    pace: Rc<Pace>,
    recorder: Rc<Recorder>,
}

/// Sends off each window at its end, but for the last one, which waits for late answers.
async fn turn(crew: Crew, slices: mpsc::Sender<Slice>) {
    let mut window = 1;
    while window < crew.period.windows() {
        tokio::time::sleep_until(crew.period.window_begin(window).into()).await;
        // The place first: this task may be ended while it waits, and no slice must go with it.
        let Ok(place) = slices.reserve().await else { return };
        if window < crew.period.windows() {
            place.send(crew.recorder.turn());
        }
        window += 1;
    }
}

/// Those of `count` numbers that fall to this thread; all threads get as many, or one more.
fn share(count: usize, worker: &Worker) -> impl Iterator<Item = usize> + use<> {
    (worker.thread..count).step_by(worker.plan.threads)
}
