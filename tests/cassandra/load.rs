//! Callers that have operations acknowledged, each again until it is, and what must come of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use readstates::{
    proto::{AckRequest, IncrementRequest},
    store::Store,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::transport::Endpoint;

use crate::{server::Client, states::channel};

const USERS: u64 = 40;
const CALLERS: u64 = 4;
/// A frozen server does not answer.
const CALL_LIMIT: Duration = Duration::from_secs(1);
/// Between two attempts of a caller.
const PAUSE: Duration = Duration::from_millis(20);

/// A number that the caller of the tests gives.
pub fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

/// Callers at work.
pub struct Load {
    truth: Arc<Truth>,
    active: watch::Sender<String>,
    callers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins to call the server at `address`. The seed is told.
    pub fn on(address: &str) -> Self {
        let seed = given("READSTATES_TEST_SEED").unwrap_or_else(rand::random);
        println!("READSTATES_TEST_SEED={seed}");
        let truth = Arc::new(Truth::default());
        let (active, _) = watch::channel(address.to_owned());
        let begin = |number| {
            let seed = seed.wrapping_add(number);
            tokio::spawn(caller(Arc::clone(&truth), active.subscribe(), seed))
        };
        let callers = (0..CALLERS).map(begin).collect();
        Self { truth, active, callers }
    }

    /// Calls another server from here on.
    pub fn turn_to(&self, address: &str) {
        self.active.send_replace(address.to_owned());
    }

    /// Operations that were acknowledged until now.
    pub fn acknowledged(&self) -> u64 {
        self.truth.acknowledged.load(Ordering::SeqCst)
    }

    /// Calls that were refused or not answered until now.
    pub fn failed(&self) -> u64 {
        self.truth.failed.load(Ordering::SeqCst)
    }

    /// Returns once so many more operations are acknowledged.
    pub async fn goes_on(&self, operations: u64) {
        let wanted = self.acknowledged() + operations;
        loop {
            let more = self.truth.more.notified();
            if self.acknowledged() >= wanted {
                return;
            }
            more.await;
        }
    }

    /// Ends once what is under way is acknowledged.
    pub async fn enough(self) -> Arc<Truth> {
        self.truth.enough.store(true, Ordering::SeqCst);
        for caller in self.callers {
            caller.await.expect("it does not panic");
        }
        self.truth
    }
}

/// What was acknowledged.
#[derive(Default)]
pub struct Truth {
    next_id: AtomicU64,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    more: Notify,
    acked: Mutex<BTreeMap<u64, u64>>,
    mentioned: Mutex<BTreeMap<u64, BTreeSet<u64>>>,
    enough: AtomicBool,
}

impl Truth {
    /// Fails where the store has another watermark or another count of any user.
    pub async fn is_in(&self, store: &dyn Store) {
        for user in 1..=USERS {
            let row = store.load(channel(user, 1)).await.expect("a load").unwrap_or_default();
            assert_eq!((row.last_acked_id(), row.mention_count()), self.of(user), "user {user}");
        }
    }

    fn add(&self, operation: &Operation) {
        match *operation {
            Operation::Ack(user, id) => {
                let mut acked = self.acked.lock();
                let watermark = acked.entry(user).or_default();
                *watermark = id.max(*watermark);
            }
            Operation::Mention(user, id) => {
                self.mentioned.lock().entry(user).or_default().insert(id);
            }
        }
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
        self.more.notify_one();
    }

    /// The watermark and the mentions of a user.
    fn of(&self, user: u64) -> (u64, u32) {
        let watermark = self.acked.lock().get(&user).copied().unwrap_or_default();
        let mentioned = self.mentioned.lock();
        let unread = mentioned.get(&user).map(|ids| ids.range(watermark + 1..).count());
        (watermark, unread.unwrap_or_default() as u32)
    }
}

enum Operation {
    Ack(u64, u64),
    Mention(u64, u64),
}

impl Operation {
    async fn call(&self, client: &mut Client) -> bool {
        let answered = match *self {
            Self::Ack(user_id, message_id) => {
                let request =
                    AckRequest { user_id, channel_id: 1, message_id, ..AckRequest::default() };
                timeout(CALL_LIMIT, client.ack(request)).await.map(|answer| answer.is_ok())
            }
            Self::Mention(user_id, message_id) => {
                let request = IncrementRequest {
                    user_id,
                    channel_id: 1,
                    message_id,
                    ..IncrementRequest::default()
                };
                timeout(CALL_LIMIT, client.increment(request)).await.map(|answer| answer.is_ok())
            }
        };
        answered.unwrap_or(false)
    }
}

/// Calls whoever is active, and again until it is acknowledged.
async fn caller(truth: Arc<Truth>, active: watch::Receiver<String>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    while !truth.enough.load(Ordering::SeqCst) {
        let id = truth.next_id.fetch_add(1, Ordering::SeqCst) + 1;
        let user = rng.random_range(1..=USERS);
        let is_ack = rng.random_ratio(1, 4);
        let operation =
            if is_ack { Operation::Ack(user, id) } else { Operation::Mention(user, id) };
        loop {
            let endpoint = format!("http://{}", *active.borrow());
            let endpoint = Endpoint::from_shared(endpoint).expect("an address");
            let mut client = Client::new(endpoint.connect_lazy());
            if operation.call(&mut client).await {
                break;
            }
            truth.failed.fetch_add(1, Ordering::SeqCst);
            sleep(PAUSE).await;
        }
        truth.add(&operation);
    }
}
