//! One `Watch` as a device has it: read as far as the device reads, and held to its order.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use readstates::{
    engine::{Error, Event, Watch, WatchTarget},
    model::UserId,
};
use tokio::{sync::Semaphore, task::AbortHandle};

use crate::{node::Node, order::Order};

type Inbox = Arc<Mutex<VecDeque<Result<Event, Error>>>>;

/// A stream, or what is left of one that broke.
pub struct Stream {
    permits: Arc<Semaphore>,
    inbox: Inbox,
    task: AbortHandle,
    pub orders: BTreeMap<UserId, Order>,
}

impl Stream {
    pub fn begin(node: &Node, targets: &[WatchTarget], may_resync: bool) -> Self {
        let watch = node.engine.watch(targets.to_vec()).expect("there are places");
        let (permits, inbox) = (Arc::new(Semaphore::new(0)), Inbox::default());
        let task = node.spawn(read(watch, Arc::clone(&permits), Arc::clone(&inbox)));
        let order = |target: &WatchTarget| Order::new(target.user, target.from, may_resync);
        let orders = targets.iter().map(|target| (target.user, order(target))).collect();
        Self { permits, inbox, task, orders }
    }

    /// Lets it give out so many more events.
    pub fn read(&self, events: usize) {
        self.permits.add_permits(events);
    }

    /// The next event, where it was received; an error is the end.
    pub fn next(&mut self) -> Option<Result<Event, Error>> {
        let next = self.inbox.lock().pop_front()?;
        if let Ok(event) = &next {
            self.orders.get_mut(&event.user).expect("it is watched").take(event);
        }
        Some(next)
    }

    /// The connection breaks. What was received can still be taken.
    pub fn cut(&self) {
        self.task.abort();
    }

    /// Nothing more will come.
    pub fn is_over(&self) -> bool {
        self.task.is_finished() && self.inbox.lock().is_empty()
    }

    pub fn is_live(&self) -> bool {
        self.orders.values().all(Order::is_live)
    }

    pub fn received(&self) -> usize {
        self.inbox.lock().len()
    }
}

async fn read(mut watch: Watch, permits: Arc<Semaphore>, inbox: Inbox) {
    while let Ok(permit) = permits.acquire().await {
        permit.forget();
        let next = watch.next().await;
        let over = next.is_err();
        inbox.lock().push_back(next);
        if over {
            return;
        }
    }
}
