//! Leaving the one thread of a runtime to others, within a call about thousands of states (I1).

use tokio::task::coop::{consume_budget, has_budget_remaining};

/// More than a task's budget has. Where there is none, outside of a task, it never ends.
const BUDGET_MAX: usize = 512;

/// Gives others on this runtime their turn, whoever polls this: a plain yield is pending once, and
/// a stream that is asked again in the same turn goes on. A budget that is spent stays so until the
/// task has its next turn.
pub async fn leave_turn() {
    for _ in 0..BUDGET_MAX {
        if !has_budget_remaining() {
            break;
        }
        consume_budget().await;
    }
    consume_budget().await;
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future as _, poll_fn},
        pin::pin,
        task::Poll,
    };

    use super::*;

    #[tokio::test]
    async fn asking_again_in_the_same_turn_does_not_end_it() {
        let mut turn = pin!(leave_turn());
        let mut is_first = true;
        poll_fn(|context| {
            if !is_first {
                return turn.as_mut().poll(context);
            }
            is_first = false;
            assert!((0..100).all(|_| turn.as_mut().poll(context).is_pending()));
            Poll::Pending
        })
        .await;
        assert!(!is_first);
    }
}
