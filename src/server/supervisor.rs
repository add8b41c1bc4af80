//! Tells who supervises this server how it stands, as `sd_notify` of systemd does: lines in a
//! datagram to the socket that `NOTIFY_SOCKET` names. Without that variable nobody is told.
//!
//! ```text
//! starting, standing by, ready   READY=1 at the first of the latter two: a start need not wait
//!                                until a standby serves. EXTEND_TIMEOUT_USEC until then
//! asked to end, draining         STOPPING=1, with the time that the settings allow the end
//! each of them                   STATUS=, and WATCHDOG=1 where that is waited for
//! ```
//!
//! It is one datagram to a socket, which the standard library can send to abstract ones as well.

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{self, SocketAddr},
        },
    },
    pin::pin,
    process,
    time::Duration,
};

use tokio::{
    net::UnixDatagram,
    time::{Instant, interval_at},
};
use tracing::warn;

use crate::lifecycle::{Lifecycle, Phase, State};

/// Signs of life are given this often at least.
const PULSE: Duration = Duration::from_secs(10);
/// Until the start is done each of them asks for this much more time.
const START_EXTENSION: Duration = Duration::from_secs(60);

/// Who supervises this server, and what it was told.
#[derive(Debug)]
pub(super) struct Supervisor {
    socket: UnixDatagram,
    /// It ends a server that gives no sign of life for this long.
    watchdog: Option<Duration>,
    /// How long the end may take.
    stop_within: Duration,
    is_started: bool,
    is_stopping: bool,
    is_deaf: bool,
}

impl Supervisor {
    /// The one that the environment names. It is told that the end of the server takes
    /// `stop_within` at most.
    pub fn of_environment(stop_within: Duration) -> Option<Self> {
        let name = env::var_os("NOTIFY_SOCKET")?;
        let variable = |name: &str| env::var(name).ok();
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        Self::new(&name, watchdog, stop_within)
            .inspect_err(|error| warn!(%error, socket = ?name, "nobody can be told of this server"))
            .ok()
    }

    fn new(name: &OsStr, watchdog: Option<Duration>, stop_within: Duration) -> io::Result<Self> {
        let socket = connect(name)?;
        Ok(Self {
            socket,
            watchdog,
            stop_within,
            is_started: false,
            is_stopping: false,
            is_deaf: false,
        })
    }

    /// Tells each state until the last one, and when the server is `asked` to end. Signs of life in
    /// between show that the runtime of this future makes its turns, and no more than that.
    pub async fn follow(mut self, lifecycle: Lifecycle, asked: impl Future<Output = ()>) {
        let mut asked = pin!(asked);
        let mut states = lifecycle.subscribe();
        let every = self.pulse();
        let mut pulse = interval_at(Instant::now() + every, every);
        loop {
            let state = *states.borrow_and_update();
            let news = self.news(state);
            self.send(&news).await;
            if state.phase == Phase::Stopped {
                return;
            }
            loop {
                tokio::select! {
                    // The channel stays open, as this future has a sender.
                    _ = states.changed() => break,
                    // A start that goes on all the same gets no more time than any other end.
                    () = &mut asked, if !self.is_stopping => {
                        let end = self.end();
                        self.send(&end).await;
                    }
                    _ = pulse.tick() => self.send(&self.sign_of_life()).await,
                }
            }
        }
    }

    /// Twice as often as somebody waits for it.
    fn pulse(&self) -> Duration {
        self.watchdog.map_or(PULSE, |watchdog| PULSE.min(watchdog / 2))
    }

    /// What is to be said of a state that is new. One that passed unseen is not told.
    fn news(&mut self, state: State) -> String {
        let mut lines = format!("STATUS={state}\n");
        let is_up = state.phase == Phase::Ready || state.standing_by;
        if is_up && !self.is_stopping && !std::mem::replace(&mut self.is_started, true) {
            lines.push_str("READY=1\n");
        }
        if state.phase >= Phase::Draining {
            lines.push_str(&self.end());
        }
        lines.push_str(&self.more_time());
        lines
    }

    /// That the end has begun, once.
    fn end(&mut self) -> String {
        match std::mem::replace(&mut self.is_stopping, true) {
            true => String::new(),
            false => format!("STOPPING=1\n{}", extend(self.stop_within)),
        }
    }

    /// What the start needs, until it is done.
    fn more_time(&self) -> String {
        match self.is_started || self.is_stopping {
            true => String::new(),
            false => extend(START_EXTENSION),
        }
    }

    fn sign_of_life(&self) -> String {
        let mut lines = self.more_time();
        if self.watchdog.is_some() {
            lines.push_str("WATCHDOG=1\n");
        }
        lines
    }

    async fn send(&mut self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        if let Err(error) = self.socket.send(lines.as_bytes()).await
            && !std::mem::replace(&mut self.is_deaf, true)
        {
            warn!(%error, "the supervisor could not be told of this server");
        }
    }
}

/// The step that goes on now may take this long from now.
fn extend(by: Duration) -> String {
    format!("EXTEND_TIMEOUT_USEC={}\n", by.as_micros())
}

/// A path, or an abstract name with `@` in the place of its zero.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::Error::other("it is neither a path nor an abstract name")),
    };
    let socket = net::UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

/// The time in microseconds, unless it is for another process than this one.
fn watchdog(time: Option<String>, pid: Option<String>) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(process::id())) {
        return None;
    }
    let time_us = time?.parse().ok().filter(|time_us| *time_us > 0)?;
    Some(Duration::from_micros(time_us))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tempfile::TempDir;

    use super::*;

    const STOP_WITHIN: Duration = Duration::from_secs(110);

    /// The other end of the socket.
    struct Told {
        socket: UnixDatagram,
        _folder: TempDir,
    }

    impl Told {
        fn new(watchdog: Option<Duration>) -> (Self, Supervisor) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("notify");
            let socket = UnixDatagram::bind(&path).expect("it is free");
            let supervisor = Supervisor::new(path.as_os_str(), watchdog, STOP_WITHIN);
            (Self { socket, _folder: folder }, supervisor.expect("somebody listens"))
        }

        async fn next(&self) -> String {
            let mut lines = [0; 1024];
            let length = self.socket.recv(&mut lines).await.expect("it is open");
            String::from_utf8(lines[..length].to_vec()).expect("it is text")
        }
    }

    #[tokio::test]
    async fn each_state_is_told_in_its_turn() {
        let (told, supervisor) = Told::new(None);
        let life = Lifecycle::new();
        let following = tokio::spawn(supervisor.follow(life.clone(), pending()));
        assert_eq!(told.next().await, "STATUS=starting\nEXTEND_TIMEOUT_USEC=60000000\n");
        life.stand_by(true);
        assert_eq!(told.next().await, "STATUS=standing by\nREADY=1\n");
        life.stand_by(false);
        assert_eq!(told.next().await, "STATUS=starting\n");
        life.advance(Phase::Ready);
        assert_eq!(told.next().await, "STATUS=ready\n");
        life.suspend(true);
        assert_eq!(told.next().await, "STATUS=suspended\n");
        life.advance(Phase::Draining);
        let end = "STATUS=draining\nSTOPPING=1\nEXTEND_TIMEOUT_USEC=110000000\n";
        assert_eq!(told.next().await, end);
        life.advance(Phase::Stopped);
        assert_eq!(told.next().await, "STATUS=stopped\n");
        following.await.expect("it ends with the server");
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_is_asked_to_end_asks_for_no_more_time() {
        let (told, supervisor) = Told::new(Some(PULSE));
        tokio::spawn(supervisor.follow(Lifecycle::new(), ready(())));
        assert_eq!(told.next().await, "STATUS=starting\nEXTEND_TIMEOUT_USEC=60000000\n");
        let mut next = told.next().await;
        while next.starts_with("EXTEND") {
            // Time that stands still may have gone on before the wish was heard of.
            next = told.next().await;
        }
        assert_eq!(next, "STOPPING=1\nEXTEND_TIMEOUT_USEC=110000000\n");
        assert_eq!(told.next().await, "WATCHDOG=1\n");
    }

    #[tokio::test]
    async fn an_end_that_comes_at_once_is_told() {
        let (told, supervisor) = Told::new(None);
        let life = Lifecycle::new();
        life.advance(Phase::Stopped);
        supervisor.follow(life, pending()).await;
        assert!(told.next().await.contains("\nSTOPPING=1\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_come_as_often_as_they_are_waited_for() {
        let watchdog = Duration::from_secs(2);
        let (told, supervisor) = Told::new(Some(watchdog));
        assert_eq!(supervisor.pulse(), watchdog / 2);
        let life = Lifecycle::new();
        tokio::spawn(supervisor.follow(life.clone(), pending()));
        assert!(told.next().await.starts_with("STATUS=starting\n"));
        let starting = "EXTEND_TIMEOUT_USEC=60000000\nWATCHDOG=1\n";
        assert_eq!(told.next().await, starting);
        life.advance(Phase::Ready);
        // Time that stands still goes on wherever a task waits for the socket.
        let next = loop {
            let next = told.next().await;
            if next != starting {
                break next;
            }
        };
        assert_eq!(next, "STATUS=ready\nREADY=1\n");
        assert_eq!(told.next().await, "WATCHDOG=1\n");
    }

    #[test]
    fn a_watchdog_waits_for_the_process_that_it_names() {
        let of = |time: &str, pid: Option<u32>| {
            watchdog(Some(time.to_owned()), pid.map(|pid| pid.to_string()))
        };
        let time = Some(Duration::from_millis(1_500));
        assert_eq!(of("1500000", None), time);
        assert_eq!(of("1500000", Some(process::id())), time);
        assert_eq!(of("1500000", Some(1)), None);
        for none in ["", "0", "soon", "-1"] {
            assert_eq!(of(none, None), None, "{none:?}");
        }
        assert_eq!(watchdog(None, None), None);
    }

    #[tokio::test]
    async fn a_name_that_leads_nowhere_is_refused() {
        for name in ["", "notify", "/no/such/socket", "@readstates-nobody-listens"] {
            assert!(connect(OsStr::new(name)).is_err(), "{name:?}");
        }
    }
}
