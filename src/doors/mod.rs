//! Who may call what. A file names the callers, each with its credentials and its roles; at every
//! call the doors find out who it is, and whether one of its roles may call the method. What no
//! table names is refused.
//!
//! `read` makes [`Callers`] of the file, or says everything that is wrong with it; `tokens` finds
//! who a token belongs to, without telling by its time how near a wrong one came; `methods` says
//! what each method needs; [`Doors`] decides; [`Keeper`] looks at the file again while the server
//! runs. What a peer's certificate says comes as a [`PeerIdentity`], without any types of TLS: who
//! accepts connections makes it.

mod callers;
mod denied;
mod digest;
mod identity;
mod keeper;
mod lines;
mod methods;
mod moment;
mod pass;
mod read;
mod role;
#[cfg(test)]
mod tests;
mod tokens;

use std::{fmt, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::{clock::Clock, metrics::DoorMetrics};

pub use callers::{Caller, Callers, CallersError, CallersErrors};
pub use denied::{Denial, Denied};
pub use digest::Digest;
pub use identity::{PeerIdentity, PeerName};
pub use keeper::Keeper;
pub use pass::Pass;
pub use role::{Role, Roles};

use keeper::Seen;
use methods::{Method, Need};
use pass::Credential;

/// What a peer shows of itself with a call.
#[derive(Clone, Copy, Default)]
pub struct Shown<'a> {
    /// The value of its `authorization` header, where there is one.
    pub authorization: Option<&'a [u8]>,
    /// What its certificate says, where it has shown one that is trusted.
    pub peer: Option<&'a Arc<PeerIdentity>>,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorization = self.authorization.map(|_| "(secret)");
        let mut shown = f.debug_struct("Shown");
        shown.field("authorization", &authorization).field("peer", &self.peer).finish()
    }
}

/// The doors of one server. Clones are the same doors.
#[derive(Clone)]
pub struct Doors(Arc<Inner>);

struct Inner {
    now: ArcSwap<Now>,
    /// That of `now`, for those who wait for the next one; set after it.
    generation: watch::Sender<u64>,
    clock: Clock,
    metrics: DoorMetrics,
}

/// The callers, and how often they have changed, by the file or by the time.
struct Now {
    callers: Arc<Callers>,
    generation: u64,
}

impl Doors {
    /// Doors for the callers of the file at `path`, and who keeps them up to date.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn open(
        path: &Path,
        clock: Clock,
        metrics: DoorMetrics,
    ) -> Result<(Self, Keeper), CallersErrors> {
        let (seen, callers) = Seen::first(path)?;
        let now = Now { callers: Arc::new(callers), generation: 0 };
        let doors = Self(Arc::new(Inner {
            now: ArcSwap::from_pointee(now),
            generation: watch::Sender::new(0),
            clock,
            metrics,
        }));
        doors.loaded();
        Ok((doors.clone(), Keeper::new(doors, seen)))
    }

    /// Lets a call of the method at `path` in, or not. For the calls whose answers have no end of
    /// their own there is a pass to be looked at now and then.
    ///
    /// # Errors
    /// Why it is not let in; it is counted.
    pub fn admit(&self, path: &str, shown: Shown<'_>) -> Result<Option<Box<Pass>>, Denial> {
        let admitted = self.ask(path, shown);
        admitted.inspect_err(|denial| self.0.count(denial))
    }

    fn ask(&self, path: &str, shown: Shown<'_>) -> Result<Option<Box<Pass>>, Denial> {
        let method = methods::find(path);
        if method.is_some_and(|method| method.need == Need::Nothing) {
            return Ok(None);
        }
        let now = self.0.now.load();
        let credential = credential(shown)?;
        let Some(method) = method else {
            // Who is nobody is not told what there is.
            self.0.caller(&now.callers, &credential)?;
            return Err(Denied::NoMethod.into());
        };
        self.0.judge(&now.callers, &credential, method)?;
        let pass = || {
            let (doors, generation) = (self.clone(), now.generation);
            Box::new(Pass { doors, credential, method, generation })
        };
        Ok(method.is_stream.then(pass))
    }

    /// Counts the times that callers came or went, for whoever waits for the next one.
    pub fn generations(&self) -> watch::Receiver<u64> {
        self.0.generation.subscribe()
    }

    fn callers(&self) -> Arc<Callers> {
        Arc::clone(&self.0.now.load().callers)
    }

    fn count_expired(&self) -> usize {
        self.callers().count_expired(self.0.seconds())
    }

    fn metrics(&self) -> &DoorMetrics {
        &self.0.metrics
    }

    /// From now on these are the callers. Passes are held against them.
    fn replace(&self, callers: Arc<Callers>) {
        let generation = self.0.now.load().generation + 1;
        self.0.now.store(Arc::new(Now { callers, generation }));
        // Whoever hears of the change finds it counted.
        self.show();
        self.0.generation.send_replace(generation);
    }

    /// The callers are those of the file as it is now.
    fn loaded(&self) {
        self.metrics().loaded_at_seconds.set(self.0.seconds() as f64);
        self.show();
    }

    fn show(&self) {
        let count = self.callers().count();
        self.metrics().callers.set(count as i64);
        self.metrics().expired_callers.set(self.count_expired() as i64);
    }
}

impl Inner {
    /// Seconds since the Unix epoch.
    fn seconds(&self) -> u64 {
        self.clock.wall_us() / 1_000_000
    }

    /// Whose credential it is.
    fn caller<'a>(
        &self,
        callers: &'a Callers,
        credential: &Credential,
    ) -> Result<&'a Caller, Denial> {
        let found = match credential {
            Credential::Token(digest) => callers.by_token(digest),
            Credential::Peer(peer) => callers.by_peer(peer),
        };
        let caller = found.ok_or(Denied::Unknown)?;
        // The clock is looked at only for those whose time ends.
        if caller.expires.is_some() && caller.has_expired(self.seconds()) {
            return Err(denial(Denied::Expired, caller));
        }
        Ok(caller)
    }

    fn count(&self, denial: &Denial) {
        match denial.denied {
            Denied::NoCredentials | Denied::Malformed | Denied::Unknown => {
                self.metrics.no_credentials.inc();
            }
            Denied::Expired => self.metrics.expired.inc(),
            Denied::Role(_) => self.metrics.role.inc(),
            // It is no matter of who calls.
            Denied::NoMethod => {}
        }
    }

    fn judge(
        &self,
        callers: &Callers,
        credential: &Credential,
        method: &Method,
    ) -> Result<(), Denial> {
        let caller = self.caller(callers, credential)?;
        match method.need {
            Need::OneOf(roles) if !caller.roles.suffice_for(roles) => {
                Err(denial(Denied::Role(roles), caller))
            }
            Need::OneOf(_) | Need::Caller | Need::Nothing => Ok(()),
        }
    }
}

fn denial(denied: Denied, caller: &Caller) -> Denial {
    Denial { denied, caller: Some(Arc::clone(&caller.name)) }
}

/// A token is meant for this call and goes before the certificate, which is the connection's: a
/// wrong one is refused, whoever is connected.
fn credential(shown: Shown<'_>) -> Result<Credential, Denied> {
    match (shown.authorization, shown.peer) {
        (Some(header), _) => {
            digest::presented(header).map(Credential::Token).ok_or(Denied::Malformed)
        }
        (None, Some(peer)) => Ok(Credential::Peer(Arc::clone(peer))),
        (None, None) => Err(Denied::NoCredentials),
    }
}
