//! The doors of a server: opened before its ports are, kept in step with their file while it runs.

use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::StartError;
use crate::{clock::Clock, config::Config, doors::Doors, metrics::Metrics};

/// Doors, and the task that looks at their file, which ends with this.
pub(super) struct Doorkeeper {
    doors: Doors,
    keeping: JoinHandle<()>,
}

impl Doorkeeper {
    /// Opens the doors for the callers that the configuration names; `None` where it names none.
    pub fn start(
        config: &Config,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Result<Option<Self>, StartError> {
        let Some(path) = &config.callers_file else {
            if config.listen.tcp().any(|address| !address.ip().is_loopback()) {
                warn!(
                    listen = %config.listen,
                    "everyone who reaches this address may call everything: see callers-file"
                );
            }
            return Ok(None);
        };
        let (doors, keeper) = Doors::open(path, clock.clone(), metrics.doors.clone())?;
        let (file, callers) = (path.display(), metrics.doors.callers.get());
        info!(%file, callers, "only the callers of the file are let in");
        let every = config.callers_check_every;
        let keeping = tokio::spawn(async move { match keeper.keep(every).await {} });
        Ok(Some(Self { doors, keeping }))
    }

    pub fn doors(&self) -> Doors {
        self.doors.clone()
    }
}

impl Drop for Doorkeeper {
    fn drop(&mut self) {
        self.keeping.abort();
    }
}
