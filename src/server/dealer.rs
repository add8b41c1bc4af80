//! Accepts connections and deals each to the runtime that has the fewest.

use std::{convert::Infallible, future, io, time::Duration};

use futures_util::{FutureExt as _, future::select_all};
use prometheus::{IntCounter, IntGauge};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{Permit, Receiver, Sender, channel},
    time::sleep,
};
use tracing::{debug, warn};

use super::connection::{Dealt, Seat};

/// Connections that wait for one runtime to take them up. Where all runtimes have as many, none is
/// accepted until one gets on.
const WAITING_MAX: usize = 64;
/// Pauses after the system refused a connection, for want of files or memory: doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The dealer's side of a runtime that serves connections.
pub(super) struct Table {
    /// How many connections it has, waiting ones included.
    taken: IntGauge,
    waiting: Sender<Dealt>,
}

impl Table {
    /// A table whose connections `taken` counts, and where they come out.
    pub fn new(taken: IntGauge) -> (Self, Receiver<Dealt>) {
        let (waiting, dealt) = channel(WAITING_MAX);
        (Self { taken, waiting }, dealt)
    }
}

/// Deals connections out, for as long as it lives.
pub(super) struct Dealer {
    listener: TcpListener,
    tables: Vec<Table>,
    /// Where to look for the emptiest table first, so that equal ones take turns.
    first: usize,
    refused: IntCounter,
}

impl Dealer {
    /// There is a table at least. `refused` counts what the system would not accept.
    pub fn new(listener: TcpListener, tables: Vec<Table>, refused: IntCounter) -> Self {
        Self { listener, tables, first: 0, refused }
    }

    /// Accepts and deals until it is dropped. Then nothing is accepted any more, and each runtime
    /// comes to the end of what was dealt to it.
    pub async fn deal(mut self) -> Infallible {
        let mut pause = Pause::default();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    pause = Pause::default();
                    self.deal_one(stream).await;
                }
                Err(error) if is_of_one_connection(&error) => {
                    debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    self.refused.inc();
                    if pause.is_first() {
                        warn!(%error, "no connection can be accepted for now");
                    }
                    sleep(pause.next()).await;
                }
            }
        }
    }

    async fn deal_one(&mut self, stream: TcpStream) {
        // Answers go out when they are ready, not once the peer has confirmed those before.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection ended before it was dealt");
            return;
        }
        let (place, seat) = self.place().await;
        match Dealt::new(stream, seat) {
            Ok(dealt) => place.send(dealt),
            Err(error) => warn!(%error, "a connection could not be handed over"),
        }
    }

    /// A place at the emptiest table of those that have one; where none has, at the first that gets
    /// on.
    async fn place(&mut self) -> (Permit<'_, Dealt>, Seat) {
        let order = self.order();
        for table in order.iter().map(|table| &self.tables[*table]) {
            if let Ok(place) = table.waiting.try_reserve() {
                return (place, Seat::take(&table.taken));
            }
        }
        let tables = order.iter().map(|table| &self.tables[*table]);
        let reserving =
            tables.map(|table| table.waiting.reserve().map(move |place| (place, table)));
        let ((place, table), ..) = select_all(reserving.map(Box::pin)).await;
        match place {
            Ok(place) => (place, Seat::take(&table.taken)),
            // The runtime is gone, and whoever watches over it ends the server.
            Err(_) => future::pending().await,
        }
    }

    /// The tables, emptiest first.
    fn order(&mut self) -> Vec<usize> {
        let count = self.tables.len();
        let mut order: Vec<usize> = (0..count).map(|n| (self.first + n) % count).collect();
        // Cached: connections end meanwhile.
        order.sort_by_cached_key(|table| self.tables[*table].taken.get());
        self.first = order[0] + 1;
        order
    }
}

/// The next connection may be well all the same.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// How long to wait after the system refused.
#[derive(Default)]
struct Pause(Option<Duration>);

impl Pause {
    fn is_first(&self) -> bool {
        self.0.is_none()
    }

    fn next(&mut self) -> Duration {
        let pause = self.0.map_or(PAUSE_MIN, |last| (last * 2).min(PAUSE_MAX));
        self.0 = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn dealer(tables: usize) -> (Dealer, Vec<Receiver<Dealt>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let gauge = || IntGauge::new("taken", "Taken.").expect("a name");
        let (tables, dealt) = (0..tables).map(|_| Table::new(gauge())).unzip();
        let refused = IntCounter::new("refused", "Refused.").expect("a name");
        (Dealer::new(listener, tables, refused), dealt)
    }

    fn taken(dealer: &Dealer) -> Vec<i64> {
        dealer.tables.iter().map(|table| table.taken.get()).collect()
    }

    #[tokio::test]
    async fn the_emptiest_table_is_next_and_equal_ones_take_turns() {
        let (mut dealer, _dealt) = dealer(3).await;
        let seats: Vec<_> = [(); 7].map(|()| dealer.order()[0]).into();
        assert_eq!(seats, [0, 1, 2, 0, 1, 2, 0]);
        for (table, taken) in dealer.tables.iter().zip([2, 0, 1]) {
            table.taken.set(taken);
        }
        assert_eq!(dealer.order(), [1, 2, 0]);
        let (_, seat) = dealer.place().await;
        assert_eq!(taken(&dealer), [2, 1, 1]);
        drop(seat);
        assert_eq!(taken(&dealer), [2, 0, 1]);
    }

    #[tokio::test]
    async fn a_table_that_takes_nothing_up_is_passed_over_and_waited_for_where_all_are_full() {
        let (mut dealer, mut dealt) = dealer(2).await;
        let address = dealer.listener.local_addr().expect("an address");
        let mut peers = Vec::new();
        for _ in 0..2 * WAITING_MAX {
            peers.push(TcpStream::connect(address).await.expect("it listens"));
            let (stream, _) = dealer.listener.accept().await.expect("a connection");
            // Emptier, and yet it does not get on.
            dealer.tables[0].taken.set(-1_000);
            dealer.deal_one(stream).await;
        }
        assert!(dealt.iter().all(|dealt| dealt.len() == WAITING_MAX));
        let mut place = std::pin::pin!(dealer.place());
        tokio::select! {
            biased;
            _ = &mut place => panic!("there is none"),
            () = future::ready(()) => {}
        }
        dealt[0].recv().await.expect("one waits");
        place.await;
    }

    #[test]
    fn the_pause_after_a_refusal_doubles_up_to_its_bound() {
        let mut pause = Pause::default();
        assert!(pause.is_first());
        let pauses: Vec<u128> = (0..10).map(|_| pause.next().as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000]);
        assert!(!pause.is_first());
    }
}
