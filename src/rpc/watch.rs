//! `Watch` on the wire: a watch of the engine as a stream, until the server drains.

use futures_util::{Stream, stream};
use tokio::sync::watch::Receiver;
use tonic::Status;

use super::{
    encode,
    reason::Reason,
    status::{Failure, refused},
};
use crate::{
    engine::Watch,
    lifecycle::{Phase, State},
    proto,
};

/// The events of `watch`. The first error is the end.
pub(super) fn events(
    watch: Watch,
    state: Receiver<State>,
) -> impl Stream<Item = Result<proto::WatchResponse, Status>> + Send {
    stream::unfold(Some((watch, state)), |watched| async {
        let (mut watch, mut state) = watched?;
        // Whoever watches would hold up the end of the server for as long as that may take.
        let draining = async { drop(state.wait_for(|state| state.phase >= Phase::Draining).await) };
        let next = tokio::select! {
            biased;
            () = draining => None,
            next = watch.next() => Some(next),
        };
        Some(match next {
            Some(Ok(event)) => (Ok(encode::event(&event)), Some((watch, state))),
            Some(Err(error)) => (Err(refused(error)), None),
            None => {
                watch.drain();
                let message = "this server is shutting down; watch again from the versions \
                               received, at another one or at this one anew";
                (Err(Failure::new(Reason::Draining, message).into()), None)
            }
        })
    })
}
