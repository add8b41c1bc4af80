//! What a caller holds during a call whose answer has no end of its own: it is good for as long as
//! the caller could begin the call anew.

use std::{future::Future, sync::Arc};

use super::{Denial, Digest, Doors, PeerIdentity, methods::Method};

/// By what a caller was known.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    Token(Digest),
    Peer(Arc<PeerIdentity>),
}

/// Let in, for now.
pub struct Pass {
    pub(super) doors: Doors,
    pub(super) credential: Credential,
    pub(super) method: &'static Method,
    /// The last state of the doors that it was held against.
    pub(super) generation: u64,
}

impl Pass {
    /// The method that it is for, by its name alone.
    pub fn method(&self) -> &'static str {
        self.method.name
    }

    /// Whether it is still good. Costs next to nothing while nobody has come or gone.
    ///
    /// # Errors
    /// Why its caller is not let in any more; it is counted.
    pub fn check(&mut self) -> Result<(), Denial> {
        let doors = &self.doors.0;
        let now = doors.now.load();
        if now.generation == self.generation {
            return Ok(());
        }
        let judged = doors.judge(&now.callers, &self.credential, self.method);
        judged.inspect_err(|denial| doors.count(denial))?;
        self.generation = now.generation;
        Ok(())
    }

    /// Ends once somebody has come or gone since the last [`Self::check`].
    pub fn outdated(&self) -> impl Future<Output = ()> + Send + use<> {
        let (mut generations, mine) = (self.doors.generations(), self.generation);
        async move {
            // Fails only where the doors are gone, and with them everyone who could be changed.
            if generations.wait_for(|generation| *generation > mine).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
