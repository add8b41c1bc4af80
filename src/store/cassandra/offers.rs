//! The table of what deposed owners had not flushed. It has a partition of its own, of which the
//! first chunk is looked at every some seconds.

use super::{failure::unavailable, requests::Requests};
use crate::store::{OfferPlace, Offered, StoreError};

type ChunkColumns = (i64, i32, Vec<u8>);

pub(super) async fn put(
    requests: &Requests,
    place: OfferPlace,
    bytes: Vec<u8>,
) -> Result<(), StoreError> {
    let (offer, chunk) = columns(place)?;
    requests.write(&requests.statements.insert_offer, (offer, chunk, bytes)).await
}

pub(super) async fn next(
    requests: &Requests,
    after: Option<OfferPlace>,
) -> Result<Option<Offered>, StoreError> {
    let statements = &requests.statements;
    let found: Vec<ChunkColumns> = match after {
        None => requests.read(&statements.select_offer, ()).await?,
        Some(after) => requests.read(&statements.select_offer_after, columns(after)?).await?,
    };
    Ok(found.into_iter().next().map(|(offer, chunk, bytes)| Offered {
        place: OfferPlace { offer: offer.cast_unsigned(), chunk: chunk.cast_unsigned() },
        bytes,
    }))
}

pub(super) async fn remove(requests: &Requests, place: OfferPlace) -> Result<(), StoreError> {
    requests.write(&requests.statements.delete_offer, columns(place)?).await
}

/// Both fit a signed column, so that their order there is theirs.
fn columns(place: OfferPlace) -> Result<(i64, i32), StoreError> {
    let offer = i64::try_from(place.offer).map_err(unavailable)?;
    Ok((offer, i32::try_from(place.chunk).map_err(unavailable)?))
}
