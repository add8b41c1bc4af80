//! The handlers of `MaintenanceService`, one per RPC.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use tonic::{Request, Response, Status};

use super::{
    decode, encode,
    limits::{Limits, check_items},
    reason::Reason,
    record,
    status::{Failure, refused},
};
use crate::{
    engine::{Arrival, Engine, Stored, Verify},
    lifecycle::Lifecycle,
    model::{Key, Version},
    proto::{self, maintenance_service_server::MaintenanceService},
};

/// Moves and checks the states of an engine.
pub struct Maintenance {
    engine: Arc<Engine>,
    limits: Limits,
    lifecycle: Lifecycle,
}

type Answer<T> = Result<Response<T>, Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Maintenance {
    /// A service over `engine` that refuses what is above `limits`. Its streams end once
    /// `lifecycle` drains: they are long, and those who ask go on elsewhere or later.
    pub fn new(engine: Arc<Engine>, limits: Limits, lifecycle: Lifecycle) -> Self {
        Self { engine, limits, lifecycle }
    }
}

/// A dump on its way.
struct Walk {
    engine: Arc<Engine>,
    lifecycle: Lifecycle,
    /// The line, once it is drawn; from the beginning where one is gone on with.
    version: Option<Version>,
    /// What was changed before the line is in the store.
    flushed: bool,
    after: Option<Key>,
    include_deleted: bool,
    skip_damaged: bool,
    ended: bool,
}

impl Walk {
    /// The line alone first, then a step's states at a time; `None` at the end.
    async fn step(&mut self) -> Result<Option<proto::DumpResponse>, Status> {
        go_on(&self.lifecycle)?;
        let Some(version) = self.version else {
            let version = self.engine.cut().await.map_err(refused)?;
            (self.version, self.flushed) = (Some(version), true);
            let version = version.as_micros();
            return Ok(Some(proto::DumpResponse { version, ..proto::DumpResponse::default() }));
        };
        if self.ended {
            return Ok(None);
        }
        if !self.flushed {
            self.engine.go_on(version).await.map_err(refused)?;
            self.flushed = true;
        }
        let stored = self.engine.stored_after(self.after).await.map_err(refused)?;
        let Stored { mut rows, mut damaged, last, is_end } = stored;
        (self.after, self.ended) = (last, is_end);
        if !self.skip_damaged && !damaged.is_empty() {
            // What is in front of it goes first; it is come upon again.
            let (key, damage) = damaged.swap_remove(0);
            rows.retain(|(before, _)| *before < key);
            let Some((last, _)) = rows.last() else { return Err(refused(damage)) };
            (self.after, self.ended) = (Some(*last), false);
            damaged.clear();
        }
        let shown = rows.iter().filter(|(_, state)| self.include_deleted || !state.is_deleted());
        let states = shown.map(|(key, state)| record::encode(key, state)).collect();
        let damaged = damaged.iter().map(|(key, _)| encode::key(key)).collect();
        Ok(Some(proto::DumpResponse { version: version.as_micros(), states, damaged }))
    }
}

fn go_on(lifecycle: &Lifecycle) -> Result<(), Failure> {
    if !lifecycle.is_draining() {
        return Ok(());
    }
    let message = "this server is shutting down; go on behind what you have once it is back";
    Err(Failure::new(Reason::Draining, message))
}

#[tonic::async_trait]
impl MaintenanceService for Maintenance {
    type DumpStream = Answers<proto::DumpResponse>;

    async fn dump(&self, request: Request<proto::DumpRequest>) -> Answer<Self::DumpStream> {
        let request = request.get_ref();
        let after = request.after.as_ref();
        let after = after.map(|key| decode::key(key.user_id, key.channel_id, key.r#type));
        let walk = Walk {
            engine: Arc::clone(&self.engine),
            lifecycle: self.lifecycle.clone(),
            version: (request.version != 0).then(|| Version::from_micros(request.version)),
            after: after.transpose().map_err(|failure| failure.within("after"))?,
            include_deleted: request.include_deleted,
            skip_damaged: request.skip_damaged,
            flushed: false,
            ended: false,
        };
        let step = |mut walk: Walk| async { Ok(walk.step().await?.map(|answer| (answer, walk))) };
        Ok(Response::new(Box::pin(stream::try_unfold(walk, step))))
    }

    async fn load(&self, request: Request<proto::LoadRequest>) -> Answer<proto::LoadResponse> {
        let states = request.into_inner().states;
        check_items("states", states.len(), self.limits.items)?;
        let states = record::decode_all(states)?;
        let count = self.engine.import(states, Arrival::Replaces).await.map_err(refused)?;
        Ok(Response::new(proto::LoadResponse { taken: count.taken, older: count.older }))
    }

    type VerifyStream = Answers<proto::VerifyResponse>;

    async fn verify(&self, _: Request<proto::VerifyRequest>) -> Answer<Self::VerifyStream> {
        let check = Verify::new(Arc::clone(&self.engine)).map_err(refused)?;
        let check = (check, self.lifecycle.clone());
        let step = |(mut check, lifecycle): (Verify, Lifecycle)| async {
            go_on(&lifecycle)?;
            let checked = check.step().await.map_err(refused)?;
            Ok(checked.map(|checked| (record::checked(&checked), (check, lifecycle))))
        };
        Ok(Response::new(Box::pin(stream::try_unfold(check, step))))
    }
}
