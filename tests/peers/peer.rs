//! The peer in Go: built once, and started on a free port.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
};

use crate::{
    program::{address, forward},
    tool::{run, skipped, succeeds, text, tool},
};

/// Where its sources are.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/go")
}

/// Go, with the peer's modules and the code of the contract; `None` where they cannot be had.
pub fn go() -> Option<&'static Path> {
    static GO: OnceLock<Option<PathBuf>> = OnceLock::new();
    GO.get_or_init(prepare).as_deref()
}

fn prepare() -> Option<PathBuf> {
    let go = tool("go", "install Go 1.26 or newer")?;
    let modules = run(Command::new(&go).args(["mod", "download"]).current_dir(sources()));
    if !modules.status.success() {
        let [_, complaints] = text(&modules);
        skipped(&format!("the modules of the peer in Go cannot be had: {complaints}"));
        return None;
    }
    succeeds(Command::new(&go).args(["generate", "./..."]).current_dir(sources()));
    Some(go)
}

/// A running peer; killed when dropped.
pub struct Peer {
    child: Child,
    /// HOST:PORT.
    pub address: String,
}

impl Peer {
    /// Starts one that holds so few states that most are pushed out and loaded again.
    pub fn start(go: &Path) -> Self {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readstates-peer");
        let build = ["build", "-o"];
        succeeds(Command::new(go).args(build).arg(&program).arg(".").current_dir(sources()));
        let mut child = Command::new(program)
            .args(["-listen", "127.0.0.1:0", "-entries", "40", "-shards", "4"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was built");
        let (sender, lines) = mpsc::channel();
        forward(child.stdout.take().expect("it is piped"), sender);
        let address = lines.iter().find_map(|line| address(&line, "grpc="));
        Self { child, address: address.expect("it says where it listens") }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
