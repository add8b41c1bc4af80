//! A thread that serves connections of its own, on a runtime of its own.

use std::{
    future::{self, Future},
    thread,
    time::Duration,
};

use tokio::{runtime::Builder, sync::oneshot, task::spawn_blocking, time::timeout};
use tracing::{error, warn};

use super::StartError;
use crate::journal::Journal;

/// How long a thread may take to end once it is told to: as long as one turn of a task.
const END_GRACE: Duration = Duration::from_secs(10);

/// A running thread. It ends when it is told to, and when this is dropped.
pub(super) struct ServeThread {
    name: String,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl ServeThread {
    /// Starts a thread that runs `serving`, and goes on with what calls have left running, until it
    /// is told to end. What comes of `serving` comes out of the future, also where the
    /// thread dies of it.
    ///
    /// # Errors
    /// [`StartError::Listen`] where the system gives no thread.
    pub fn spawn(
        name: String,
        serving: impl Future<Output = ()> + Send + 'static,
        journal: Option<Journal>,
    ) -> Result<(Self, impl Future<Output = Result<(), StartError>> + Send), StartError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::Listen)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (served, outcome) = oneshot::channel();
        let run = async move {
            if let Some(journal) = journal {
                // Wakes those who wait in this runtime, from inside it.
                tokio::spawn(journal.herald());
            }
            let serve = async {
                serving.await;
                served.send(()).ok();
                // Loads, and writes whose caller went away, go on: others may wait for them.
                future::pending::<()>().await;
            };
            tokio::select! {
                _ = stopped => {}
                () = serve => {}
            }
        };
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            runtime.block_on(run);
            runtime.shutdown_background();
        });
        let thread = thread.map_err(StartError::Listen)?;
        let own_name = name.clone();
        let outcome = async move {
            outcome.await.map_err(|_| {
                error!(thread = own_name, "a thread that serves calls has died");
                StartError::Deaf
            })
        };
        Ok((Self { name, stop, thread }, outcome))
    }

    /// Ends the thread with everything that runs in it, and waits for that.
    pub async fn end(self) {
        let Self { name, stop, thread } = self;
        drop(stop);
        match timeout(END_GRACE, spawn_blocking(move || thread.join())).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => error!(thread = name, "a thread that served calls had panicked"),
            Err(_) => warn!(thread = name, "a thread that served calls did not end in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_left_running_goes_on_until_the_end_and_no_longer() {
        let (done, goes_on) = oneshot::channel::<()>();
        let (left, mut gone) = oneshot::channel::<()>();
        let serving = async move {
            tokio::spawn(async move {
                done.send(()).ok();
                let _left = left;
                future::pending::<()>().await;
            });
        };
        let (thread, outcome) = ServeThread::spawn("serving-9".to_owned(), serving, None).unwrap();
        outcome.await.expect("it served");
        goes_on.await.expect("it runs on");
        assert!(gone.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Empty));
        thread.end().await;
        assert!(gone.await.is_err(), "it was dropped");
    }

    #[tokio::test]
    async fn a_connection_that_does_not_end_keeps_no_thread_alive() {
        let (left, gone) = oneshot::channel::<()>();
        let serving = async move {
            let _left = left;
            future::pending().await
        };
        let (thread, outcome) = ServeThread::spawn("serving-9".to_owned(), serving, None).unwrap();
        thread.end().await;
        assert!(outcome.await.is_err(), "it did not come to its end");
        assert!(gone.await.is_err(), "it was dropped");
    }

    #[tokio::test]
    async fn a_thread_that_dies_is_noticed() {
        let serving = async { panic!("a thread of a test is to die") };
        let (thread, outcome) = ServeThread::spawn("serving-9".to_owned(), serving, None).unwrap();
        assert!(matches!(outcome.await, Err(StartError::Deaf)));
        thread.end().await;
    }
}
