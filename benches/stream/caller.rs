//! Calls `ApplyStream` at next to no cost: messages are made once and patched, results are read.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http::uri::PathAndQuery;
use prost::Message as _;
use rand::{Rng as _, SeedableRng as _, rngs::SmallRng};
use readstates::proto::{
    AckRequest, ApplyStreamRequest, ApplyStreamResponse, Operation, operation::Operation as Of,
};
use rustix::time::{ClockId, clock_gettime};
use tokio::{runtime, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, client::Grpc, transport::Channel};

use crate::{Outcome, bytes::Bytes};

/// Messages that are sent and not yet answered.
const AHEAD: usize = 8;
/// Where an operation's numbers are in its bytes: behind the heads of two messages and a tag each.
const USER: usize = 5;
const CHANNEL: usize = USER + 9;
const MESSAGE: usize = CHANNEL + 9;

/// So many states are one user's.
pub const CHANNELS_PER_USER: u64 = 50;

/// What came of one run.
pub struct Ran {
    pub updates: u64,
    pub elapsed: Duration,
    /// Processor time of the client.
    pub client: Duration,
}

/// Draws keys and numbers messages, over several runs.
pub struct Caller {
    address: SocketAddr,
    entries: u64,
    batch: usize,
    template: Vec<u8>,
    random: SmallRng,
    next_message: u64,
}

impl Caller {
    pub fn new(address: SocketAddr, entries: u64, batch: usize) -> Self {
        let operation = Operation { operation: Some(Of::Ack(request(0, 1))) };
        let request = ApplyStreamRequest { sequence: 0, operations: vec![operation; batch] };
        let template = request.encode_to_vec();
        let random = SmallRng::seed_from_u64(7);
        Self { address, entries, batch, template, random, next_message: 2 }
    }

    fn message(&mut self, mut key: impl FnMut(&mut SmallRng) -> u64) -> Vec<u8> {
        let mut bytes = self.template.clone();
        let width = bytes.len() / self.batch;
        for operation in bytes.chunks_exact_mut(width) {
            let place = request(key(&mut self.random), self.next_message);
            operation[USER..USER + 8].copy_from_slice(&place.user_id.to_le_bytes());
            operation[CHANNEL..CHANNEL + 8].copy_from_slice(&place.channel_id.to_le_bytes());
            operation[MESSAGE..MESSAGE + 8].copy_from_slice(&place.message_id.to_le_bytes());
            self.next_message += 1;
        }
        bytes
    }

    /// Makes every state, in order.
    pub fn fill(&mut self) -> Outcome<Ran> {
        let (entries, batch) = (self.entries, self.batch as u64);
        let mut next = 0;
        let messages = entries.div_ceil(batch);
        self.exchange(
            move |_| {
                next += 1;
                (next - 1) % entries
            },
            move |answered, _| answered >= messages,
        )
    }

    /// Acks of states drawn at random, for so long.
    pub fn run(&mut self, duration: Duration) -> Outcome<Ran> {
        let entries = self.entries;
        self.exchange(
            move |random| random.random_range(0..entries),
            move |_, elapsed| elapsed >= duration,
        )
    }

    fn exchange(
        &mut self,
        key: impl FnMut(&mut SmallRng) -> u64,
        is_enough: impl Fn(u64, Duration) -> bool,
    ) -> Outcome<Ran> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.stream(key, is_enough))
    }

    async fn stream(
        &mut self,
        mut key: impl FnMut(&mut SmallRng) -> u64,
        is_enough: impl Fn(u64, Duration) -> bool,
    ) -> Outcome<Ran> {
        let channel = Channel::from_shared(format!("http://{}", self.address))?.connect().await?;
        let mut client = Grpc::new(channel);
        client.ready().await?;
        let (messages, receiver) = mpsc::channel(AHEAD);
        let path = PathAndQuery::from_static("/readstates.v1.ReadStatesService/ApplyStream");
        let request = Request::new(ReceiverStream::new(receiver));
        let mut answers = client.streaming(request, path, Bytes).await?.into_inner();
        let (started, spent) = (Instant::now(), thread_time());
        for _ in 0..AHEAD {
            messages.send(self.message(&mut key)).await?;
        }
        let mut answered = 0;
        while !is_enough(answered, started.elapsed()) {
            let answer = answers.message().await?.ok_or("the stream ended")?;
            check(&ApplyStreamResponse::decode(answer.as_slice())?, self.batch)?;
            answered += 1;
            messages.send(self.message(&mut key)).await?;
        }
        let (elapsed, client) = (started.elapsed(), thread_time() - spent);
        Ok(Ran { updates: answered * self.batch as u64, elapsed, client })
    }
}

fn request(key: u64, message_id: u64) -> AckRequest {
    let (user_id, channel_id) = (key / CHANNELS_PER_USER + 1, key % CHANNELS_PER_USER + 1);
    AckRequest { user_id, channel_id, message_id, ..AckRequest::default() }
}

fn check(answer: &ApplyStreamResponse, batch: usize) -> Outcome<()> {
    let changed = answer.results.iter().filter(|result| result.changed).count();
    if changed == batch {
        return Ok(());
    }
    let failed = answer.results.iter().find(|result| !result.changed);
    Err(format!("{changed} of {batch} changed: {failed:?}").into())
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
