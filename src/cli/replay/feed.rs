//! The thread that reads the trace, and the bounded queue that it fills.

use std::collections::HashSet;

use indicatif::ProgressBar;
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};

use super::{
    input::InputError,
    schedule::{Schedule, Step},
};

/// Steps that are handed over at a time, which makes waking a worker cheap for each of them.
const CHUNK_STEPS: usize = 32;
/// Chunks that wait in the queue; the reader waits when it is full.
const CHUNKS_WAITING_MAX: usize = 64;

/// What the reader saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// Messages read.
    pub messages: u64,
    /// Everybody who wrote or was mentioned.
    pub users: HashSet<u64>,
}

/// Steps in the order of the schedule, for many workers.
#[derive(Debug)]
pub struct Feed {
    /// Held while one worker waits for the next chunk; the others queue up behind it.
    chunks: Mutex<mpsc::Receiver<Vec<Step>>>,
}

impl Feed {
    /// Starts a thread that reads `schedule` until its end, the first error, or until the feed is
    /// dropped. It keeps the length of `bar` up to date.
    pub fn start(schedule: Schedule, bar: ProgressBar) -> (Self, Reader) {
        let (queue, chunks) = mpsc::channel(CHUNKS_WAITING_MAX);
        let thread = tokio::task::spawn_blocking(move || read(&schedule, &queue, &bar));
        (Self { chunks: Mutex::new(chunks) }, Reader { thread })
    }

    /// The next steps; `None` after the last.
    pub async fn next(&self) -> Option<Vec<Step>> {
        self.chunks.lock().await.recv().await
    }
}

/// The reading thread.
pub struct Reader {
    thread: JoinHandle<Result<Seen, InputError>>,
}

impl Reader {
    /// What the thread saw, once it has ended. Drop the feed before.
    pub async fn seen(self) -> Result<Seen, InputError> {
        self.thread.await.map_err(|error| InputError::CutShort(error.to_string()))?
    }
}

fn read(
    schedule: &Schedule,
    queue: &mpsc::Sender<Vec<Step>>,
    bar: &ProgressBar,
) -> Result<Seen, InputError> {
    let mut steps = schedule.open()?;
    let mut seen = Seen::default();
    let mut sent = 0;
    loop {
        let chunk = steps.by_ref().take(CHUNK_STEPS).collect::<Result<Vec<_>, _>>()?;
        chunk.iter().for_each(|step| seen.note(step));
        sent += chunk.len() as u64;
        // A closed queue means that the workers have stopped: nobody wants to know more.
        if chunk.is_empty() || queue.blocking_send(chunk).is_err() {
            bar.set_length(sent);
            return Ok(seen);
        }
        bar.set_length(steps.estimate(sent));
    }
}

impl Seen {
    fn note(&mut self, step: &Step) {
        if step.duplicate {
            return;
        }
        self.users.extend(step.operation.users());
        self.messages += u64::from(step.operation.is_ack());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(directory: &tempfile::TempDir, messages: usize) -> Schedule {
        let mut text = "ts_ms,event,user_id,channel_id,message_id,mentioned_user_ids\n".to_owned();
        for message in 1..=messages {
            text += &format!("{message},message,5,6,{message},7\n");
        }
        let trace = directory.path().join("t.csv");
        std::fs::write(&trace, text).unwrap();
        Schedule { trace, limit: None, shuffle: None, duplicate: 1.0 }
    }

    #[tokio::test]
    async fn every_step_arrives_and_the_reader_tells_what_it_saw() {
        let directory = tempfile::tempdir().unwrap();
        let (feed, reader) = Feed::start(schedule(&directory, 100), ProgressBar::hidden());
        let mut steps = 0;
        while let Some(chunk) = feed.next().await {
            steps += chunk.len();
        }
        assert_eq!(steps, 400);
        let seen = reader.seen().await.unwrap();
        assert_eq!((seen.messages, seen.users), (100, HashSet::from([5, 7])));
    }

    #[tokio::test]
    async fn a_feed_that_is_dropped_ends_its_reader() {
        let directory = tempfile::tempdir().unwrap();
        let (feed, reader) = Feed::start(schedule(&directory, 10_000), ProgressBar::hidden());
        feed.next().await.unwrap();
        drop(feed);
        assert!(reader.seen().await.unwrap().messages < 10_000);
    }

    #[tokio::test]
    async fn a_trace_that_breaks_off_is_an_error_of_the_reader() {
        let directory = tempfile::tempdir().unwrap();
        let schedule = schedule(&directory, 3);
        let text = std::fs::read_to_string(&schedule.trace).unwrap();
        std::fs::write(&schedule.trace, text + "what?\n").unwrap();
        let (feed, reader) = Feed::start(schedule, ProgressBar::hidden());
        while feed.next().await.is_some() {}
        assert!(reader.seen().await.unwrap_err().to_string().contains(":5: "));
    }
}
