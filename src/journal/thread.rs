//! The threads of a journal: one writes, one prepares the next segment.

use std::{io, sync::Arc, time::Duration};

use tracing::error;

use crate::model::Version;

use super::{
    JournalError, Step, Writer,
    bell::Rest,
    shared::Shared,
    sync::thread::{self, JoinHandle},
};

/// So long nothing was appended before a seal is.
const IDLE: Duration = Duration::from_secs(1);

/// A writer at work. It ends when it is told to, not when it is dropped.
pub struct WriterThread {
    shared: Arc<Shared>,
    writer: JoinHandle<Writer>,
    spares: JoinHandle<()>,
}

impl WriterThread {
    /// Starts it.
    ///
    /// # Errors
    /// Where the machine gives no thread; the journal has ended then.
    pub fn spawn(writer: Writer) -> io::Result<Self> {
        let shared = Arc::clone(writer.shared());
        shared.spares.leave_to_thread();
        let tending = Arc::clone(&shared);
        let spares = thread::Builder::new()
            .name("journal-spare".to_owned())
            .spawn(move || tending.spares.run(&tending))?;
        let writer = thread::Builder::new()
            .name("journal-writer".to_owned())
            .spawn(move || run(writer))
            .inspect_err(|_| shared.spares.stop())?;
        Ok(Self { shared, writer, spares })
    }

    /// Makes everything durable that was appended, then `ceiling` if given and a seal, and ends
    /// the journal and its threads. Nobody appends any more when this is called.
    ///
    /// # Errors
    /// As [`Writer::close`].
    pub fn close(self, ceiling: Option<Version>) -> Result<(), JournalError> {
        self.shared.bell.stop();
        let writer = self.writer.join();
        self.shared.spares.stop();
        if self.spares.join().is_err() {
            error!("the thread that prepares segments had panicked");
        }
        match writer {
            Ok(writer) => writer.close(ceiling),
            Err(_) => {
                error!("the journal's thread had panicked");
                Err(JournalError::Closed)
            }
        }
    }
}

fn run(mut writer: Writer) -> Writer {
    let shared = Arc::clone(writer.shared());
    loop {
        let stalled = match writer.step() {
            Step::Committed { .. } => continue,
            Step::Failed => return writer,
            Step::Idle => false,
            Step::NoRoom => true,
        };
        let is_work = || if stalled { shared.spares.is_ready() } else { !shared.tail.is_empty() };
        match shared.bell.rest(IDLE, is_work) {
            Rest::Rung => {}
            Rest::Stop => return writer,
            Rest::Over => {
                writer.seal();
            }
        }
    }
}
