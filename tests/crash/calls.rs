//! The calls that clients make, what each may do to which state, and what its answer proves.

use readstates::proto::{
    self, ApplyRequest, BatchGetRequest, BulkAckItem, BulkAckRequest, DeleteChannelRequest,
    DeleteRequest, DeleteUserRequest, FanOutRequest, GetRequest, Key, ListRequest, MentionOutcome,
    ReadState, RestoreItem, RestoreRequest, RetractRequest, operation::Operation,
};
use tonic::{Code, Response, Status};

use crate::{
    acts::Act,
    checker::{Answer, Book, Finding, Place},
    naive::Naive,
    node::Client,
    verdict::{Verdict, verdict, verdict_of_item},
};

/// Keys of one `BatchGet`.
const KEYS_MAX: usize = 1_000;
/// Few, so that lists have several pages.
const PAGE_SIZE: i32 = 64;

/// One call.
#[derive(Clone, Debug)]
pub enum Call {
    One(Place, Operation),
    Apply(Vec<(Place, Operation)>),
    FanOut {
        places: Vec<Place>,
        message: u64,
        initial: Option<u64>,
    },
    Retract {
        places: Vec<Place>,
        message: u64,
    },
    DeleteChannel {
        places: Vec<Place>,
    },
    BulkAck(Vec<(Place, u64)>),
    /// Each with the state that the ack was done on.
    Undo(Vec<(Place, RestoreItem, Naive)>),
    DeleteUser(u64),
    Get(Place),
    List(u64),
}

/// How a call ended.
#[derive(Debug)]
pub enum End {
    /// It was answered, and the answer is as it may be.
    Acknowledged,
    /// As above, and the answer is what it takes to undo the call.
    Undoable(Call),
    /// It was refused, and nothing was done.
    Refused,
    /// Nobody knows whether it was done.
    Unknown,
}

type Ended = Result<End, Finding>;

impl Call {
    /// Whether it may be made twice and have effect once.
    pub fn is_positioned(&self) -> bool {
        let positioned = |operation: &Operation| match operation {
            Operation::Increment(request) => request.message_id != 0,
            Operation::Ack(request) => request.expected_version.is_none(),
            Operation::Delete(request) => request.expected_version.is_none(),
            Operation::AckPins(_) => true,
            Operation::Reset(_) | Operation::MarkUnread(_) => false,
        };
        match self {
            Self::One(_, operation) => positioned(operation),
            // Twice in a row is not the same as each twice.
            Self::Apply(_) | Self::Undo(_) => false,
            _ => true,
        }
    }

    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Get(_) | Self::List(_))
    }

    /// Makes the call and writes down what came of it.
    pub async fn make(&self, client: &mut Client, book: &mut Book) -> Ended {
        let ended = match self {
            Self::One(place, operation) => one(client, book, *place, operation).await,
            Self::Apply(operations) => apply(client, book, operations).await,
            Self::FanOut { places, .. }
            | Self::Retract { places, .. }
            | Self::DeleteChannel { places } => self.many(client, book, places).await,
            Self::BulkAck(items) => bulk_ack(client, book, items).await,
            Self::Undo(items) => undo(client, book, items).await,
            Self::DeleteUser(user) => delete_user(client, book, *user).await,
            Self::Get(place) => get(client, book, *place).await,
            Self::List(user) => list(client, book, *user).await,
        };
        ended.map_err(|finding| format!("{self:?}: {finding}"))
    }

    /// A call about one channel of many users, answered with counts.
    async fn many(&self, client: &mut Client, book: &mut Book, places: &[Place]) -> Ended {
        let channel_id = places[0].channel;
        let user_ids = places.iter().map(|place| place.user).collect();
        let (act, answered) = match self {
            Self::FanOut { message, initial, .. } => {
                let request = FanOutRequest {
                    channel_id,
                    message_id: *message,
                    user_ids,
                    initial_acked_id: *initial,
                };
                let answer = client.fan_out(request).await.map(Response::into_inner);
                let counts =
                    answer.map(|told| [told.incremented, told.duplicate, told.already_read]);
                (mention(places[0], *message, *initial), counts)
            }
            Self::Retract { message, .. } => {
                let request = RetractRequest { channel_id, message_id: *message, user_ids };
                let answer = client.retract(request).await.map(Response::into_inner);
                (Act::Retract(*message), answer.map(|told| [told.retracted, 0, 0]))
            }
            _ => {
                let request = DeleteChannelRequest { channel_id, user_ids };
                let answer = client.delete_channel(request).await.map(Response::into_inner);
                (deletion(), answer.map(|told| [told.deleted, 0, 0]))
            }
        };
        match answered {
            Ok(told) => book.counted(places, &act, told).map(|()| End::Acknowledged),
            Err(status) => failed_in_part(&status, || {
                places.iter().for_each(|place| book.unanswered(*place, &act));
            }),
        }
    }
}

fn deletion() -> Act {
    Act::Operation(Operation::Delete(DeleteRequest::default()))
}

fn mention(place: Place, message_id: u64, initial_acked_id: Option<u64>) -> Act {
    Act::Operation(Operation::Increment(proto::IncrementRequest {
        user_id: place.user,
        channel_id: place.channel,
        message_id,
        initial_acked_id,
        ..Default::default()
    }))
}

/// A call about many states failed: a part of it may have been done, even where it was refused.
fn failed_in_part(status: &Status, unanswered: impl FnOnce()) -> Ended {
    let end = match verdict(status) {
        // All of it has ended by now: what was done, the next read shows.
        Verdict::Refused => End::Refused,
        Verdict::Unknown => End::Unknown,
        wrong => return Err(format!("{wrong:?}: {status:?}")),
    };
    unanswered();
    Ok(end)
}

async fn one(client: &mut Client, book: &mut Book, place: Place, operation: &Operation) -> Ended {
    let act = Act::Operation(*operation);
    match send(client, operation).await {
        Ok(answer) => book.answered(place, &act, &answer).map(|()| End::Acknowledged),
        Err(status) => match verdict(&status) {
            Verdict::Refused => Ok(End::Refused),
            Verdict::Mismatched { current } => {
                book.mismatched(place, &act, current).map(|()| End::Acknowledged)
            }
            Verdict::Unknown => {
                book.unanswered(place, &act);
                Ok(End::Unknown)
            }
            Verdict::Wrong => Err(format!("{status:?}")),
        },
    }
}

/// Takes the parts of an answer that every changing call has.
macro_rules! answer {
    ($call:expr, $outcome:expr) => {{
        let response = $call.await?.into_inner();
        let outcome = $outcome(&response);
        Ok(Answer { state: response.state, changed: response.changed, outcome })
    }};
}

/// Makes the call of one operation.
pub async fn send(client: &mut Client, operation: &Operation) -> Result<Answer, Status> {
    fn none<T>(_: &T) -> MentionOutcome {
        MentionOutcome::Unspecified
    }
    match *operation {
        Operation::Ack(request) => answer!(client.ack(request), none),
        Operation::Increment(request) => {
            answer!(client.increment(request), proto::IncrementResponse::outcome)
        }
        Operation::Reset(request) => answer!(client.reset(request), none),
        Operation::MarkUnread(request) => answer!(client.mark_unread(request), none),
        Operation::AckPins(request) => answer!(client.ack_pins(request), none),
        Operation::Delete(request) => answer!(client.delete(request), none),
    }
}

async fn apply(client: &mut Client, book: &mut Book, operations: &[(Place, Operation)]) -> Ended {
    let wrap =
        |(_, operation): &(Place, Operation)| proto::Operation { operation: Some(*operation) };
    let request = ApplyRequest { operations: operations.iter().map(wrap).collect() };
    let results = match client.apply(request).await {
        Ok(response) => response.into_inner().results,
        Err(status) => {
            return failed_in_part(&status, || {
                for (place, operation) in operations {
                    book.unanswered(*place, &Act::Operation(*operation));
                }
            });
        }
    };
    let mut end = End::Acknowledged;
    for ((place, operation), result) in operations.iter().zip(results) {
        let act = Act::Operation(*operation);
        if result.code == Code::Ok as i32 {
            book.answered_in_short(*place, &act, &result)?;
            continue;
        }
        match verdict_of_item(result.code, result.version) {
            Verdict::Refused => {}
            Verdict::Mismatched { current } => book.mismatched(*place, &act, current)?,
            Verdict::Unknown => {
                book.unanswered(*place, &act);
                end = End::Unknown;
            }
            Verdict::Wrong => return Err(format!("{result:?}")),
        }
    }
    Ok(end)
}

async fn bulk_ack(client: &mut Client, book: &mut Book, acks: &[(Place, u64)]) -> Ended {
    let item = |(place, message): &(Place, u64)| BulkAckItem {
        channel_id: place.channel,
        message_id: *message,
        r#type: place.kind(),
    };
    let request =
        BulkAckRequest { user_id: acks[0].0.user, items: acks.iter().map(item).collect() };
    let act = |(place, message_id): &(Place, u64)| {
        let (user_id, channel_id, r#type) = (place.user, place.channel, place.kind());
        let request = proto::AckRequest {
            user_id,
            channel_id,
            message_id: *message_id,
            r#type,
            ..Default::default()
        };
        Act::Operation(Operation::Ack(request))
    };
    let results = match client.bulk_ack(request).await {
        Ok(response) => response.into_inner().results,
        Err(status) => {
            return failed_in_part(&status, || {
                acks.iter().for_each(|ack| book.unanswered(ack.0, &act(ack)));
            });
        }
    };
    // The items are done in any order: the answer with the lowest version comes first.
    let mut answered: Vec<_> = acks.iter().zip(results).collect();
    answered.sort_by_key(|(_, result)| result.state.map_or(0, |state| state.version));
    let mut undo = Vec::new();
    let mut known = true;
    for (ack, result) in answered {
        if result.code == Code::Ok as i32 {
            let (state, changed) = (result.state, result.changed);
            let before = book.known(ack.0).cloned();
            let answer = Answer { state, changed, outcome: MentionOutcome::Unspecified };
            book.answered(ack.0, &act(ack), &answer)?;
            let item = undo_of(ack.0, &result).filter(|_| changed);
            undo.extend(item.zip(before).map(|(item, before)| (ack.0, item, before)));
        } else if verdict_of_item(result.code, 0) == Verdict::Unknown {
            book.unanswered(ack.0, &act(ack));
            known = false;
        } else if verdict_of_item(result.code, 0) != Verdict::Refused {
            return Err(format!("{result:?}"));
        }
    }
    Ok(match (known, undo.is_empty()) {
        (false, _) => End::Unknown,
        (true, true) => End::Acknowledged,
        (true, false) => End::Undoable(Call::Undo(undo)),
    })
}

fn undo_of(place: Place, result: &proto::BulkAckResult) -> Option<RestoreItem> {
    Some(RestoreItem {
        user_id: place.user,
        channel_id: place.channel,
        last_acked_id: result.previous_last_acked_id,
        mention_count: result.previous_mention_count,
        marked_unread: result.previous_marked_unread,
        expected_last_acked_id: Some(result.state?.last_acked_id),
        r#type: place.kind(),
        ..RestoreItem::default()
    })
}

async fn undo(
    client: &mut Client,
    book: &mut Book,
    items: &[(Place, RestoreItem, Naive)],
) -> Ended {
    let states = items.iter().map(|(_, item, _)| *item).collect();
    let act = |before: &Naive| Act::Undo(Box::new(before.clone()));
    let results = match client.restore(RestoreRequest { states }).await {
        Ok(response) => response.into_inner().results,
        Err(status) => {
            return failed_in_part(&status, || {
                items.iter().for_each(|(place, _, before)| book.unanswered(*place, &act(before)));
            });
        }
    };
    let mut end = End::Acknowledged;
    for ((place, _, before), result) in items.iter().zip(results) {
        if result.code == Code::Ok as i32 {
            let (state, changed) = (result.state, result.changed);
            let answer = Answer { state, changed, outcome: MentionOutcome::Unspecified };
            book.answered(*place, &act(before), &answer)?;
            continue;
        }
        match verdict_of_item(result.code, 0) {
            Verdict::Refused => {}
            Verdict::Unknown => {
                book.unanswered(*place, &act(before));
                end = End::Unknown;
            }
            _ => return Err(format!("{result:?}")),
        }
    }
    Ok(end)
}

async fn delete_user(client: &mut Client, book: &mut Book, user_id: u64) -> Ended {
    match client.delete_user(DeleteUserRequest { user_id }).await {
        Ok(response) => {
            let places: Vec<_> = book.places().filter(|place| place.user == user_id).collect();
            let told = [response.into_inner().deleted, 0, 0];
            book.counted(&places, &deletion(), told).map(|()| End::Acknowledged)
        }
        // Nothing was done: a deletion that has begun is not refused any more. Were the book in
        // doubt, what the client does next with the user would look like half a deletion.
        Err(status) if verdict(&status) == Verdict::Refused => Ok(End::Refused),
        Err(status) => failed_in_part(&status, || book.unanswered_deletion(user_id, &deletion())),
    }
}

async fn get(client: &mut Client, book: &mut Book, place: Place) -> Ended {
    let Place { user: user_id, channel: channel_id } = place;
    let state = match client.get(GetRequest { user_id, channel_id, r#type: place.kind() }).await {
        Ok(response) => response.into_inner().state,
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => return failed_read(&status),
    };
    book.seen(place, state.as_ref()).map(|()| End::Acknowledged)
}

async fn list(client: &mut Client, book: &mut Book, user_id: u64) -> Ended {
    let mut listed = Vec::new();
    let mut request = ListRequest { user_id, page_size: PAGE_SIZE, ..ListRequest::default() };
    loop {
        match client.list(request.clone()).await.map(Response::into_inner) {
            Ok(page) => {
                listed.extend(page.states);
                request.page_token = page.next_page_token;
            }
            Err(status) => return failed_read(&status),
        }
        if request.page_token.is_empty() {
            break;
        }
    }
    let places: Vec<_> = book.places().filter(|place| place.user == user_id).collect();
    compare(book, &places, &listed)?;
    book.seen_all(user_id)?;
    Ok(End::Acknowledged)
}

/// Reads every state of the book.
pub async fn read_all(client: &mut Client, book: &mut Book) -> Ended {
    let places: Vec<_> = book.places().collect();
    for some in places.chunks(KEYS_MAX) {
        let key = |place: &Place| Key {
            user_id: place.user,
            channel_id: place.channel,
            r#type: place.kind(),
        };
        let request = BatchGetRequest { keys: some.iter().map(key).collect() };
        match client.batch_get(request).await {
            Ok(response) => compare(book, some, &response.into_inner().states)?,
            Err(status) => return failed_read(&status),
        }
    }
    let users: Vec<_> = book.users().collect();
    users.into_iter().try_for_each(|user| book.seen_all(user))?;
    Ok(End::Acknowledged)
}

/// Compares what was read of these states with what they may be; what was not read is not there.
fn compare(book: &mut Book, places: &[Place], read: &[ReadState]) -> Result<(), Finding> {
    let place_of = |state: &ReadState| Place { user: state.user_id, channel: state.channel_id };
    for state in read {
        let place = place_of(state);
        if !places.contains(&place) || state.r#type != place.kind() {
            return Err(format!("nobody made {state:?}"));
        }
    }
    for place in places {
        book.seen(*place, read.iter().find(|state| place_of(state) == *place))?;
    }
    Ok(())
}

fn failed_read(status: &Status) -> Ended {
    match verdict(status) {
        Verdict::Refused => Ok(End::Refused),
        Verdict::Unknown => Ok(End::Unknown),
        wrong => Err(format!("{wrong:?}: {status:?}")),
    }
}
