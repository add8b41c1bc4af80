//! The items of one message: those that decode are accesses of the engine, the others fail alone,
//! and the results come in the order of the items.

use super::{decode, encode, status::Failure};
use crate::{
    engine::{Access, Done, Engine, Error, Made, Order},
    model::{Key, Update},
    proto,
};

/// Why one item of many failed.
pub(super) enum ItemError {
    Request(Failure),
    Engine(Key, Error),
}

impl From<ItemError> for Failure {
    fn from(error: ItemError) -> Self {
        match error {
            ItemError::Request(failure) => failure,
            ItemError::Engine(_, error) => error.into(),
        }
    }
}

/// What came of an item, and of which key.
type Shown = (Key, Done);

/// Items whose updates are made; each user's in the order of the message.
pub(super) struct Batch {
    made: Made,
    /// Of the items that do not decode, with their places, in order.
    failures: Vec<(usize, Failure)>,
}

impl Batch {
    /// Makes those of the updates that decode.
    pub async fn make(
        engine: &Engine,
        items: impl ExactSizeIterator<Item = Result<(Key, Update), Failure>>,
    ) -> Self {
        let mut accesses = Vec::with_capacity(items.len());
        let mut failures = Vec::new();
        for (place, item) in items.enumerate() {
            match item {
                Ok((key, update)) => accesses.push((key, Access::Update(update))),
                Err(failure) => failures.push((place, failure)),
            }
        }
        Self { made: engine.make_many(accesses, Order::PerUser).await, failures }
    }

    /// The results, once a crash cannot take them back.
    pub async fn show(self, engine: &Engine) -> impl Iterator<Item = Result<Shown, ItemError>> {
        let mut results = engine.show_many(self.made).await;
        let mut failures = self.failures.into_iter().peekable();
        (0..).map_while(move |place| {
            if let Some((_, failure)) = failures.next_if(|(failed, _)| *failed == place) {
                return Some(Err(ItemError::Request(failure)));
            }
            results.next().map(|(key, result)| match result {
                Ok(done) => Ok((key, done)),
                Err(error) => Err(ItemError::Engine(key, error)),
            })
        })
    }
}

/// Makes the operations of an `Apply`, or of one message of its stream.
pub(super) async fn apply(engine: &Engine, operations: &[proto::Operation]) -> Batch {
    Batch::make(engine, operations.iter().map(decode::operation)).await
}

/// The results of [`apply`], once a crash cannot take them back.
pub(super) async fn results(engine: &Engine, batch: Batch) -> Vec<proto::OperationResult> {
    let results = batch.show(engine).await;
    let done = results.map(|result| result.map(|(_, done)| done).map_err(Failure::from));
    done.map(encode::operation_result).collect()
}
