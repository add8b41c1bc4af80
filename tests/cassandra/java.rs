//! One node as a process: started from jars, ended by number, and never left behind.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, TryRecvError},
    thread,
    time::Duration,
};

use crate::tool::{skipped, tool};

/// A killed process is gone long before.
const END_LIMIT: Duration = Duration::from_secs(60);

/// What it takes to start a node.
pub struct Java {
    java: PathBuf,
    lib: PathBuf,
    /// An agent that the server needs to tell how large its objects are.
    jamm: PathBuf,
}

impl Java {
    /// What there is; where something is missing it says so, as [`skipped`] does.
    pub fn find() -> Option<Self> {
        let Some(lib) = env::var_os("READSTATES_TEST_CASSANDRA_LIB").map(PathBuf::from) else {
            skipped(
                "no Cassandra: .ci/run fetches it; or set READSTATES_TEST_CASSANDRA_LIB to a \
                 folder of its jars, or READSTATES_TEST_CASSANDRA to HOST:PORT of a server",
            );
            return None;
        };
        let java = tool("java", "install Java 17")?;
        let entries = fs::read_dir(&lib).unwrap_or_else(|error| panic!("{lib:?}: {error}"));
        let mut jars = entries.map(|entry| entry.expect("it lists").path());
        let jamm = jars.find(|jar| jar.file_name().is_some_and(is_jamm));
        let jamm = jamm.unwrap_or_else(|| panic!("{lib:?} has no jamm-*.jar"));
        Some(Self { java, lib, jamm })
    }

    /// Starts a node on what is in `home`, to which its `cassandra.yaml` belongs.
    pub fn run(&self, home: &Path, flags: &[&str]) -> Running {
        let scratch = home.join("tmp");
        fs::create_dir_all(&scratch).expect("there is room for a directory");
        let mut guard = Command::new("sh");
        guard.arg(kit("guard.sh")).arg(home).arg(&self.java);
        guard.arg(joined("@", &kit("java.options")));
        guard.arg(joined("-javaagent:", &self.jamm)).arg("-cp").arg(self.lib.join("*"));
        guard.arg(joined("-Dlogback.configurationFile=", &kit("logback.xml")));
        guard.arg(joined("-Djava.io.tmpdir=", &scratch));
        guard.arg(joined("-Dcassandra.config=file://", &home.join("cassandra.yaml")));
        guard.arg(joined("-Dcassandra.storagedir=", home));
        guard.arg(joined("-Dcassandra.logdir=", home));
        guard.arg(joined("-Dcassandra.triggers_dir=", home));
        guard.args(["-Dcassandra-foreground=yes", "-Dcassandra.libjemalloc=-"]);
        guard.args(flags).arg("org.apache.cassandra.service.CassandraDaemon");
        Running::spawn(&mut guard)
    }
}

fn is_jamm(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("jamm-") && name.ends_with(".jar")
}

fn kit(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cassandra/kit").join(name)
}

fn joined(flag: &str, path: &Path) -> std::ffi::OsString {
    let mut word = std::ffi::OsString::from(flag);
    word.push(path);
    word
}

/// A running node; killed when dropped, and when this process ends in whatever way.
pub struct Running {
    pid: u32,
    /// Open for as long as the node is wanted: see `kit/guard.sh`.
    wanted: Option<ChildStdin>,
    ended: Receiver<ExitStatus>,
}

impl Running {
    fn spawn(guard: &mut Command) -> Self {
        let spawned = guard.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawned.spawn().expect("there is a shell");
        let wanted = child.stdin.take();
        let mut told = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut told)
            .expect("it is text");
        let pid = told.trim().parse().unwrap_or_else(|_| panic!("not a number: {told:?}"));
        Self { pid, wanted, ended: wait(child) }
    }

    /// Sends a signal, such as `STOP`.
    pub fn signal(&self, name: &str) {
        assert!(!self.has_ended(), "it ended by itself before signal {name}");
        let kill = format!("kill -s {name} {}", self.pid);
        let status = Command::new("sh").arg("-c").arg(kill).status();
        assert!(status.expect("there is a shell").success(), "no signal {name}");
    }

    /// Whether it ended, by itself or by a signal.
    pub fn has_ended(&self) -> bool {
        !matches!(self.ended.try_recv(), Err(TryRecvError::Empty))
    }

    /// Ends it as a power cut would, but for what the system has in its buffers; what it wrote
    /// stays.
    pub async fn kill(self) {
        self.signal("KILL");
        let waiting =
            tokio::task::spawn_blocking(move || self.ended.recv_timeout(END_LIMIT).is_ok());
        assert!(waiting.await.expect("waiting does not panic"), "it outlives being killed");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.wanted.take());
        self.ended.recv_timeout(END_LIMIT).ok();
    }
}

fn wait(mut child: Child) -> Receiver<ExitStatus> {
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || {
        sender.send(child.wait().expect("a child can be waited for")).ok();
    });
    ended
}
