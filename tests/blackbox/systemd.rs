//! Under systemd: what the server tells it, and the unit that it is given.

use std::{
    fs, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    process::{self, Command},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    server::Server,
    tool::{run, text, tool},
};

/// A server that has not said it by then never will.
const WORD_LIMIT: Duration = Duration::from_secs(60);
/// Of systemd's scale from 0, the best, to 100.
const EXPOSURE_MAX: &str = "15";

/// Stands where systemd would.
struct Supervisor {
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Supervisor {
    fn at(address: &SocketAddr) -> Self {
        let socket = UnixDatagram::bind_addr(address).expect("it is free");
        socket.set_read_timeout(Some(WORD_LIMIT)).expect("a socket can wait");
        Self { socket, told: Vec::new() }
    }

    /// Reads on until `line` is told.
    fn until(&mut self, line: &str) {
        while !self.told.iter().any(|told| told == line) {
            let mut lines = [0; 4096];
            let read: io::Result<usize> = self.socket.recv(&mut lines);
            let Ok(length) = read else { panic!("{line} was never told, only {:?}", self.told) };
            let lines = std::str::from_utf8(&lines[..length]).expect("it is text");
            self.told.extend(lines.lines().map(str::to_owned));
        }
    }

    fn has_told(&self, line: &str) -> bool {
        self.told.iter().any(|told| told == line)
    }
}

async fn start_and_end_are_told(address: &SocketAddr, name: &str) {
    let mut supervisor = Supervisor::at(address);
    let server = Server::within(&[("NOTIFY_SOCKET", name)], &["--flush-timeout=1h"]);
    supervisor.until("READY=1");
    assert!(supervisor.has_told("STATUS=starting") && supervisor.has_told("STATUS=ready"));
    assert!(!supervisor.has_told("STOPPING=1"), "{:?}", supervisor.told);
    assert_eq!(server.terminate().await.code, Some(0));
    supervisor.until("STOPPING=1");
    // Draining, flushing and closing, as the settings allow them.
    supervisor.until("EXTEND_TIMEOUT_USEC=3650000000");
}

#[tokio::test]
async fn start_and_end_are_told_to_a_socket_of_the_file_system() {
    let folder = TempDir::new().expect("there is room for a directory");
    let path = folder.path().join("notify");
    let address = SocketAddr::from_pathname(&path).expect("a short path");
    start_and_end_are_told(&address, path.to_str().expect("UTF-8")).await;
}

#[tokio::test]
async fn start_and_end_are_told_to_an_abstract_socket() {
    let name = format!("readstates-test-{}", process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    start_and_end_are_told(&address, &format!("@{name}")).await;
}

#[tokio::test]
async fn a_watchdog_is_given_signs_of_life_while_the_server_runs() {
    let folder = TempDir::new().expect("there is room for a directory");
    let path = folder.path().join("notify");
    let mut supervisor = Supervisor::at(&SocketAddr::from_pathname(&path).expect("a short path"));
    let path = path.to_str().expect("UTF-8");
    let environment = [("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "200000")];
    let server = Server::within(&environment, &[]);
    supervisor.until("READY=1");
    supervisor.told.clear();
    supervisor.until("WATCHDOG=1");
    server.terminate().await;
}

#[tokio::test]
async fn a_supervisor_that_is_not_there_holds_up_nothing() {
    let server = Server::within(&[("NOTIFY_SOCKET", "/no/such/socket")], &[]);
    let stopped = server.terminate().await;
    assert_eq!(stopped.code, Some(0), "{:#?}", stopped.log);
    assert!(stopped.log.iter().any(|line| line.contains("nobody can be told of this server")));
}

/// The unit as it is deployed, of the program that is tested.
fn unit(folder: &Path) -> std::path::PathBuf {
    let unit = include_str!("../../deploy/readstates.service");
    let program = env!("CARGO_BIN_EXE_readstates");
    let path = folder.join("readstates.service");
    fs::write(
        &path,
        unit.replace("ExecStart=/usr/bin/readstates", &format!("ExecStart={program}")),
    )
    .expect("it is written");
    path
}

fn analyze(arguments: &[&str]) -> Option<(TempDir, Command)> {
    let analyze = tool("systemd-analyze", "install systemd 250 or newer")?;
    let folder = TempDir::new().expect("there is room for a directory");
    let mut command = Command::new(analyze);
    command.args(arguments).arg(unit(folder.path()));
    Some((folder, command))
}

#[test]
fn the_unit_has_nothing_that_systemd_does_not_know() {
    // Other units of this machine are none of our business.
    let arguments = ["verify", "--man=no", "--recursive-errors=no"];
    let Some((_folder, mut command)) = analyze(&arguments) else { return };
    let output = run(&mut command);
    let [stdout, stderr] = text(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(!stderr.contains("readstates.service"), "{stderr}");
}

#[test]
fn the_unit_gives_away_little_of_the_machine() {
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let arguments = ["security", "--offline=yes", "--no-pager", &threshold];
    let Some((_folder, mut command)) = analyze(&arguments) else { return };
    let output = run(&mut command);
    let [stdout, stderr] = text(&output);
    assert!(output.status.success(), "{stdout}{stderr}");
}
