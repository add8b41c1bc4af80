//! The built program as its users run it: on free ports, in a directory of its own, ended by
//! signals.

use std::{
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use readstates::proto::read_states_service_client::ReadStatesServiceClient;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

pub use crate::program::program;
use crate::program::{address, forward};

/// A program that does not listen by then never will.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Above what the program itself allows for draining, flushing and closing.
const END_LIMIT: Duration = Duration::from_secs(120);

pub type Client = ReadStatesServiceClient<Channel>;

/// A running server; killed when dropped.
pub struct Server {
    grpc: String,
    admin: String,
    running: Running,
    pub home: Home,
}

/// What outlives a process: its data, its flags and its environment.
pub struct Home {
    directory: TempDir,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    /// Where to listen for gRPC; port 0 unless a client has to find the next process too.
    listen: String,
}

/// A server that ended.
pub struct Stopped {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    /// What it wrote, line by line.
    pub log: Vec<String>,
    grpc: String,
    home: Home,
}

impl Home {
    fn new(environment: &[(&str, &str)], flags: &[&str]) -> Self {
        let directory = TempDir::new().expect("there is room for a directory");
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(owned).collect();
        Self { directory, flags, environment, listen: "127.0.0.1:0".to_owned() }
    }

    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

impl Server {
    /// Starts with an empty directory and the defaults.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts with an empty directory and these flags besides.
    pub fn with(flags: &[&str]) -> Self {
        Self::within(&[], flags)
    }

    /// As [`Self::with`], answering gRPC at these addresses.
    pub fn listening(listen: &str, flags: &[&str]) -> Self {
        Self::at(Home { listen: listen.to_owned(), ..Home::new(&[], flags) })
    }

    /// As [`Self::with`], and with these variables in its environment, in every life.
    pub fn within(environment: &[(&str, &str)], flags: &[&str]) -> Self {
        Self::at(Home::new(environment, flags))
    }

    fn at(home: Home) -> Self {
        let mut running = Running::spawn(&home);
        let (grpc, admin) = running.listening();
        Self { grpc, admin, running, home }
    }

    /// Where gRPC is answered, as HOST:PORT.
    pub fn grpc(&self) -> &str {
        &self.grpc
    }

    /// Where operators are answered, as HOST:PORT.
    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running.pid
    }

    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).expect("an address");
        endpoint.connect().await.expect("the server said that it listens")
    }

    /// A client on a connection of its own.
    pub async fn client(&self) -> Client {
        Client::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    /// Waits until it logs a line with these words.
    pub fn logged(&mut self, words: &str) {
        let deadline = Instant::now() + START_LIMIT;
        self.running.read_until(deadline, |line| line.contains(words).then_some(()));
    }

    /// Sends a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        self.running.signal(name);
    }

    /// Waits for the end, which something else has caused.
    pub async fn ended(self) -> Stopped {
        let Self { mut running, home, grpc, .. } = self;
        let exited = running.exited.take().expect("it ends once");
        let waiting = tokio::task::spawn_blocking(move || exited.recv_timeout(END_LIMIT));
        let status = waiting.await.expect("waiting does not panic");
        let status = status.expect("it ends within what it allows itself");
        Stopped { code: status.code(), log: running.rest_of_log(), grpc, home }
    }

    /// Asks it to end and waits.
    pub async fn terminate(self) -> Stopped {
        self.signal("TERM");
        self.ended().await
    }

    /// Ends it as a power cut would, but for what the system has in its buffers.
    pub async fn kill(self) -> Stopped {
        self.signal("KILL");
        self.ended().await
    }
}

impl Stopped {
    /// Starts again with the same data and flags, on other ports.
    pub fn restart(self) -> Server {
        Server::at(self.home)
    }

    /// As [`Self::restart`], answering gRPC where the process before did.
    pub fn restart_in_place(self) -> Server {
        let Self { mut home, grpc, .. } = self;
        home.listen = grpc;
        Server::at(home)
    }
}

struct Running {
    pid: u32,
    lines: Receiver<String>,
    log: Vec<String>,
    /// Taken by who waits for the end.
    exited: Option<Receiver<ExitStatus>>,
}

impl Running {
    fn spawn(home: &Home) -> Self {
        let mut child = program(home.directory.path())
            .args(["--listen", &home.listen, "--admin-listen", "127.0.0.1:0", "--data-dir"])
            .arg(home.data_dir())
            .args(&home.flags)
            .envs(home.environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program is built");
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take().expect("it is piped"), sender.clone());
        forward(child.stderr.take().expect("it is piped"), sender);
        let pid = child.id();
        Self { pid, lines, log: Vec::new(), exited: Some(wait(child)) }
    }

    /// Reads on until both ports are told.
    fn listening(&mut self) -> (String, String) {
        let deadline = Instant::now() + START_LIMIT;
        self.read_until(deadline, |line| address(line, "grpc=").zip(address(line, "admin=")))
    }

    /// Reads on until `found` finds something in a line.
    fn read_until<T>(&mut self, deadline: Instant, found: impl Fn(&str) -> Option<T>) -> T {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("it ended, or did not say so in time: {:#?}", self.log);
            };
            let found = found(&line);
            self.log.push(line);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// By number, and only while the process is not waited for, when the number is still its own.
    fn signal(&self, name: &str) {
        let status =
            Command::new("sh").arg("-c").arg(format!("kill -s {name} {}", self.pid)).status();
        assert!(status.expect("there is a shell").success(), "no signal {name}");
    }

    fn rest_of_log(&mut self) -> Vec<String> {
        self.log.extend(self.lines.iter());
        std::mem::take(&mut self.log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(exited) = self.exited.take() {
            let kill = format!("kill -s KILL {}", self.pid);
            Command::new("sh").arg("-c").arg(kill).stderr(Stdio::null()).status().ok();
            exited.recv_timeout(END_LIMIT).ok();
        }
    }
}

fn wait(mut child: Child) -> Receiver<ExitStatus> {
    let (sender, exited) = mpsc::channel();
    thread::spawn(move || {
        sender.send(child.wait().expect("a child can be waited for")).ok();
    });
    exited
}
