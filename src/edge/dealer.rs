//! Accepts connections and deals each to the runtime that has the fewest.

use std::{convert::Infallible, future, io, net::IpAddr, time::Duration};

use futures_util::{FutureExt as _, future::select_all};
use prometheus::IntGauge;
use tokio::{
    sync::mpsc::{Permit, Receiver, Sender, channel},
    time::sleep,
};
use tracing::{debug, warn};

use super::{
    connection::{Dealt, Seat},
    crowd::{Crowd, Full, Place},
    listener::Listener,
    socket::Socket,
};
use crate::{config::Config, metrics::ConnectionMetrics};

/// Connections that wait for one runtime to take them up. Where all runtimes have as many, none is
/// accepted until one gets on.
const WAITING_MAX: usize = 64;
/// Pauses after the system refused a connection, for want of files or memory: doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The dealer's side of a runtime that serves connections.
pub struct Table {
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
pub struct Dealer {
    listeners: Vec<Listener>,
    /// Which of them is asked first, so that none is overheard for another.
    first_listener: usize,
    tables: Vec<Table>,
    /// Where to look for the emptiest table first, so that equal ones take turns.
    first: usize,
    crowd: Crowd,
    metrics: ConnectionMetrics,
}

impl Dealer {
    /// There is a listener and a table at least.
    pub fn new(
        config: &Config,
        listeners: Vec<Listener>,
        tables: Vec<Table>,
        metrics: ConnectionMetrics,
    ) -> Self {
        let crowd = Crowd::new(config.max_connections, config.max_connections_per_peer);
        Self { listeners, first_listener: 0, tables, first: 0, crowd, metrics }
    }

    /// Accepts and deals until it is dropped. Then nothing is accepted any more, and each runtime
    /// comes to the end of what was dealt to it.
    pub async fn deal(mut self) -> Infallible {
        let mut pause = Pause::default();
        loop {
            match self.accept().await {
                Ok((socket, from)) => {
                    pause = Pause::default();
                    self.deal_one(socket, from).await;
                }
                Err(error) if is_of_one_connection(&error) => {
                    debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    self.metrics.accept_errors.inc();
                    if pause.is_first() {
                        warn!(%error, "no connection can be accepted for now");
                    }
                    sleep(pause.next()).await;
                }
            }
        }
    }

    async fn accept(&mut self) -> io::Result<(Socket, Option<IpAddr>)> {
        let count = self.listeners.len();
        let order = (0..count).map(|n| &self.listeners[(self.first_listener + n) % count]);
        let accepted = select_all(order.map(|listener| Box::pin(listener.accept()))).await.0;
        self.first_listener = (self.first_listener + 1) % count;
        accepted
    }

    async fn deal_one(&mut self, socket: Socket, from: Option<IpAddr>) {
        let place = match self.crowd.enter(from) {
            Ok(place) => place,
            Err(full) => {
                let rejected = &self.metrics.rejected;
                match full {
                    Full::Everybody => rejected.everybody.inc(),
                    Full::Peer => rejected.peer.inc(),
                }
                debug!(?full, "a connection was closed as it came");
                return;
            }
        };
        let (permit, seat) = self.place(place).await;
        permit.send(Dealt { socket, seat });
    }

    /// A place at the emptiest table of those that have one; where none has, at the first that gets
    /// on.
    async fn place(&mut self, of_all: Place) -> (Permit<'_, Dealt>, Seat) {
        let order = self.order();
        for table in order.iter().map(|table| &self.tables[*table]) {
            if let Ok(permit) = table.waiting.try_reserve() {
                return (permit, Seat::take(&table.taken, of_all));
            }
        }
        let tables = order.iter().map(|table| &self.tables[*table]);
        let reserving =
            tables.map(|table| table.waiting.reserve().map(move |permit| (permit, table)));
        let ((permit, table), ..) = select_all(reserving.map(Box::pin)).await;
        match permit {
            Ok(permit) => (permit, Seat::take(&table.taken, of_all)),
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
    use tokio::net::{TcpStream, UnixStream};

    use super::*;
    use crate::{config::ListenAddress, metrics::Metrics};

    async fn dealer(tables: usize) -> (Dealer, Vec<Receiver<Dealt>>) {
        let any = ListenAddress::Tcp(([127, 0, 0, 1], 0).into());
        let listener = Listener::bind(&any).await.expect("a free port");
        let gauge = || IntGauge::new("taken", "Taken.").expect("a name");
        let (tables, dealt) = (0..tables).map(|_| Table::new(gauge())).unzip();
        let metrics = Metrics::new().expect("names").connections;
        (Dealer::new(&Config::default(), vec![listener], tables, metrics), dealt)
    }

    fn taken(dealer: &Dealer) -> Vec<i64> {
        dealer.tables.iter().map(|table| table.taken.get()).collect()
    }

    fn place(dealer: &Dealer) -> Place {
        dealer.crowd.enter(None).expect("a place")
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
        let of_all = place(&dealer);
        let (_, seat) = dealer.place(of_all).await;
        assert_eq!(taken(&dealer), [2, 1, 1]);
        drop(seat);
        assert_eq!(taken(&dealer), [2, 0, 1]);
    }

    #[tokio::test]
    async fn a_table_that_takes_nothing_up_is_passed_over_and_waited_for_where_all_are_full() {
        let (mut dealer, mut dealt) = dealer(2).await;
        for _ in 0..2 * WAITING_MAX {
            let (socket, _peer) = UnixStream::pair().expect("two sockets");
            // Emptier, and yet it does not get on.
            dealer.tables[0].taken.set(-1_000);
            dealer.deal_one(Socket::of_machine(socket).expect("a socket"), None).await;
        }
        assert!(dealt.iter().all(|dealt| dealt.len() == WAITING_MAX));
        let of_all = place(&dealer);
        let mut placing = std::pin::pin!(dealer.place(of_all));
        tokio::select! {
            biased;
            _ = &mut placing => panic!("there is none"),
            () = future::ready(()) => {}
        }
        dealt[0].recv().await.expect("one waits");
        placing.await;
    }

    #[tokio::test]
    async fn all_listeners_are_heard() {
        let (mut dealer, _dealt) = dealer(1).await;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("grpc.sock");
        let local = Listener::bind(&ListenAddress::Unix(path.clone())).await.expect("a socket");
        dealer.listeners.push(local);
        for _ in 0..3 {
            let _peer = UnixStream::connect(&path).await.expect("it listens");
            assert_eq!(dealer.accept().await.expect("a connection").1, None);
            let Ok(ListenAddress::Tcp(address)) = dealer.listeners[0].address() else { panic!() };
            let _peer = TcpStream::connect(address).await.expect("it listens");
            assert!(dealer.accept().await.expect("a connection").1.is_some());
        }
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
