//! The built program on a data directory that outlives it, with other flags at each start.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use readstates::proto::read_states_service_client::ReadStatesServiceClient;
use tokio::task::block_in_place;
use tonic::transport::{Channel, Endpoint};

use crate::program::{address, forward, program};

/// A program that does not listen by then never will.
const START_LIMIT: Duration = Duration::from_secs(180);
/// Above what the program itself allows for draining, flushing and closing.
const END_LIMIT: Duration = Duration::from_secs(120);
/// Lines of a log that are worth showing.
const LINES_SHOWN: usize = 30;

pub type Client = ReadStatesServiceClient<Channel>;

/// How to start it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub data: PathBuf,
    pub flags: Vec<String>,
    /// Where to answer gRPC; port 0 unless a client has to find the next process too.
    pub listen: String,
    /// A program with its arguments that is to run it, if any.
    pub under: Vec<OsString>,
}

/// Ends a process from elsewhere, without a word and without waiting.
#[derive(Clone)]
pub struct Killer(Arc<Mutex<Child>>);

/// A process that may not listen yet.
pub struct Starting {
    child: Arc<Mutex<Child>>,
    lines: Receiver<String>,
    log: Vec<String>,
}

/// A process that answers calls.
pub struct Node {
    starting: Starting,
    grpc: String,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// The end of what it wrote.
    pub log: Vec<String>,
}

impl Plan {
    /// With the durability under test, on free ports.
    pub fn new(data: &Path, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let listen = "127.0.0.1:0".to_owned();
        Self { data: data.to_owned(), flags, listen, under: Vec::new() }
    }

    /// Starts it and waits until it answers.
    pub fn start(&self) -> Result<Node, Ended> {
        self.spawn().listening()
    }

    /// Starts it and waits for nothing.
    pub fn spawn(&self) -> Starting {
        let mut child = self.command().spawn().expect("the program is built");
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take().expect("it is piped"), sender.clone());
        forward(child.stderr.take().expect("it is piped"), sender);
        Starting { child: Arc::new(Mutex::new(child)), lines, log: Vec::new() }
    }

    fn command(&self) -> Command {
        let bare = program(Path::new("."));
        let mut words = self.under.iter().cloned().chain([bare.get_program().to_owned()]);
        let mut command = Command::new(words.next().expect("at least the program"));
        for (name, value) in bare.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .args(words)
            .args(["--listen", &self.listen, "--admin-listen", "127.0.0.1:0", "--data-dir"])
            .arg(&self.data)
            .args(&self.flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

impl Starting {
    /// Waits until it answers; where it ends instead, says how.
    pub fn listening(mut self) -> Result<Node, Ended> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match block_in_place(|| self.lines.recv_timeout(left)) {
                Ok(line) => {
                    let grpc = address(&line, "grpc=");
                    self.log.push(line);
                    if let Some(grpc) = grpc {
                        return Ok(Node { starting: self, grpc });
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(RecvTimeoutError::Timeout) => {
                    let threads = self.threads();
                    panic!("it hangs: {threads:#?} {:#?}", self.kill());
                }
            }
        }
    }

    /// What each of its threads is at, as far as the system tells.
    fn threads(&self) -> Vec<String> {
        let tasks = format!("/proc/{}/task", self.child.lock().id());
        let told = |path: PathBuf| {
            let tell = |name| fs::read_to_string(path.join(name)).unwrap_or_default();
            ["comm", "wchan", "syscall"].map(tell).join(" ").replace('\n', "")
        };
        let tasks = fs::read_dir(tasks).into_iter().flatten();
        tasks.flatten().map(|task| told(task.path())).collect()
    }

    /// To end it while something else waits for it.
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.child))
    }

    /// Ends it without a word.
    pub fn kill(self) -> Ended {
        self.killer().kill();
        self.ended()
    }

    /// Waits for the end, which something else causes.
    fn ended(mut self) -> Ended {
        let deadline = Instant::now() + END_LIMIT;
        // Both pipes end with the process, whoever ran it.
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match block_in_place(|| self.lines.recv_timeout(left)) {
                Ok(line) => self.log.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.log),
            }
        }
        let status = block_in_place(|| self.child.lock().wait()).expect("it can be waited for");
        let shown = self.log.len().saturating_sub(LINES_SHOWN);
        Ended { status, log: self.log.split_off(shown) }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to kill.
        self.child.lock().kill().ok();
        self.child.lock().wait().ok();
    }
}

impl Killer {
    /// Once this returns, none of its threads runs on.
    pub fn kill(&self) {
        self.0.lock().kill().expect("it is a child");
    }
}

impl Node {
    /// Where gRPC is answered, as HOST:PORT.
    pub fn grpc(&self) -> &str {
        &self.grpc
    }

    /// Clients on so many connections of their own.
    pub async fn clients(&self, connections: usize) -> Vec<Client> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).expect("an address");
        let mut clients = Vec::with_capacity(connections);
        for _ in 0..connections {
            let channel = endpoint.connect().await.expect("the server said that it listens");
            clients.push(Client::new(channel));
        }
        clients
    }

    /// To end it while something else waits for it.
    pub fn killer(&self) -> Killer {
        self.starting.killer()
    }

    /// Ends it without a word.
    pub fn kill(self) -> Ended {
        self.starting.kill()
    }

    /// Asks it to end and waits.
    pub fn terminate(self) -> Ended {
        let pid = self.starting.child.lock().id();
        let kill = Command::new("sh").arg("-c").arg(format!("kill -s TERM {pid}")).status();
        assert!(kill.expect("there is a shell").success(), "no signal");
        self.starting.ended()
    }

    /// Waits for an end that it comes to by itself.
    pub fn ended(self) -> Ended {
        self.starting.ended()
    }
}
