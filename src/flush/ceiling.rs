//! Keeps the ceiling of the clock persisted ahead of the versions given out.

use crate::{
    clock::Clock,
    model::Version,
    store::{Store, StoreError},
};

/// Raises the ceiling in the store, then in the clock, where less than half of its lead is left.
///
/// # Errors
/// Where the store did not take it; versions go on up to the old ceiling.
pub async fn raise_ceiling(
    clock: &Clock,
    store: &dyn Store,
    newest: Version,
) -> Result<(), StoreError> {
    if let Some(ceiling) = clock.wanted_ceiling(newest) {
        store.raise_clock_ceiling(ceiling).await?;
        clock.raise_ceiling(ceiling);
    }
    Ok(())
}
