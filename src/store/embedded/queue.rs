//! A bounded queue of jobs and the threads that do them.

use std::{io, sync::Arc, thread};

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use crate::store::{Pending, StoreError};

type Job<W> = Box<dyn FnOnce(&mut W) + Send>;

/// Where jobs for workers of kind `W` wait. Each worker has a thread and does one job at a time.
///
/// Once closed or dropped it takes no more; the threads do what is queued and end.
pub(super) struct Queue<W> {
    // Held to clone or take the sender only.
    jobs: Mutex<Option<mpsc::Sender<Job<W>>>>,
}

impl<W: Send + 'static> Queue<W> {
    /// Starts a thread per worker. Each keeps a clone of `alive` until its worker is dropped.
    pub(super) fn start(
        name: &str,
        queued_max: usize,
        workers: Vec<W>,
        alive: &watch::Receiver<()>,
    ) -> Result<Self, StoreError> {
        let (sender, receiver) = mpsc::channel(queued_max);
        let receiver = Arc::new(Mutex::new(receiver));
        for worker in workers {
            let (receiver, alive) = (receiver.clone(), alive.clone());
            let work = move || {
                work(worker, &receiver);
                drop(alive);
            };
            let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
            spawned.map_err(|error: io::Error| StoreError::Io(Arc::new(error)))?;
        }
        Ok(Self { jobs: Mutex::new(Some(sender)) })
    }

    /// Has `act` done and answers with its result. Where the future is dropped before the job is
    /// queued it is never done, and after that always.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut W) -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<'_, T> {
        Box::pin(async {
            let jobs = self.jobs.lock().clone();
            queue(jobs, act).await
        })
    }

    /// As [`Queue::ask`], and closes the queue behind it. Callers that wait for a place by then
    /// still get theirs.
    pub(super) fn ask_last<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut W) -> Result<T, StoreError> + Send + 'static,
    ) -> Pending<'_, T> {
        Box::pin(async {
            let jobs = self.jobs.lock().take();
            queue(jobs, act).await
        })
    }

    /// Takes no more jobs.
    pub(super) fn close(&self) {
        self.jobs.lock().take();
    }
}

async fn queue<W, T: Send + 'static>(
    jobs: Option<mpsc::Sender<Job<W>>>,
    act: impl FnOnce(&mut W) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let jobs = jobs.ok_or(StoreError::Closed)?;
    let (answer, answered) = oneshot::channel();
    // Nobody may be waiting any more.
    let job: Job<W> = Box::new(move |worker| drop(answer.send(act(worker))));
    jobs.send(job).await.map_err(|_| thread_ended())?;
    // Once closed, the threads end with the last sender.
    drop(jobs);
    answered.await.map_err(|_| thread_ended())?
}

fn work<W>(mut worker: W, jobs: &Mutex<mpsc::Receiver<Job<W>>>) {
    loop {
        // The lock makes one idle thread wait for a job and the others wait for the lock.
        let job = jobs.lock().blocking_recv();
        match job {
            Some(job) => job(&mut worker),
            None => return,
        }
    }
}

fn thread_ended() -> StoreError {
    StoreError::Unavailable("its thread has ended".to_owned())
}
