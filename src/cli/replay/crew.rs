//! The workers of a run: how many, over which connections, and how long they keep trying.

use std::{sync::Arc, time::Duration};

use indicatif::ProgressBar;
use tokio::task::JoinSet;
use tonic::Status;

use super::trouble::Trouble;
use crate::cli::{
    retry::{CallError, persist},
    target::Client,
};

/// What every worker shares.
#[derive(Debug)]
pub struct Crew {
    /// One client per connection.
    pub clients: Vec<Client>,
    /// How many workers, which is how many calls are under way at a time.
    pub concurrency: usize,
    /// How long a call that fails is tried again.
    pub retry_for: Duration,
    /// What went wrong so far.
    pub trouble: Trouble,
    /// How far the run is.
    pub bar: ProgressBar,
}

impl Crew {
    /// Runs `work` once per worker, each with the client of one connection, until all are done.
    pub async fn run<F>(self: &Arc<Self>, work: impl Fn(Arc<Self>, Client) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut workers = JoinSet::new();
        for client in self.clients.iter().cycle().take(self.concurrency) {
            workers.spawn(work(self.clone(), client.clone()));
        }
        workers.join_all().await;
    }

    /// Makes a call, again and again where that makes sense.
    pub async fn persist<T, F>(&self, call: impl FnMut() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        persist(self.retry_for, call, |status| self.trouble.retried(status)).await
    }
}
