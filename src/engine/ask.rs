//! One question to the store: not while it is left alone, not for longer than a load may take, and
//! counted.

use tokio::time::{Instant, timeout};

use super::{
    Engine, Error,
    load::{LOAD_DEADLINE, late},
};
use crate::{
    metrics::StoreOperation,
    store::{Pending, StoreError},
};

impl Engine {
    /// The answer to what `pending` asks.
    pub(super) async fn ask<T>(
        &self,
        operation: StoreOperation,
        pending: Pending<'_, T>,
    ) -> Result<T, Error> {
        self.breaker.admit()?;
        let started = Instant::now();
        let answer = timeout(LOAD_DEADLINE, pending).await;
        let in_time = answer.is_ok();
        let answer = answer.unwrap_or_else(|_| Err(late()));
        self.breaker.record(answer.as_ref().err(), in_time);
        let error_kind = answer.as_ref().err().map(StoreError::kind);
        self.metrics.store.record(operation, started.elapsed(), error_kind);
        Ok(answer?)
    }
}
