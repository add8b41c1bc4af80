//! Answers to one write of a socket: the built program under load, its system calls counted.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use crate::{
    CLIENT_CORE, IN_FLIGHT, Outcome, SERVING_CORE, cores,
    states::CONNECTIONS,
    wire::{self, Call},
};

/// Those that send, and the one that also wakes other threads.
const SENDS: [&str; 3] = ["sendto", "sendmsg", "writev"];
const WAKE: &str = "write";

/// What a load came to.
pub struct Writes {
    pub answers: u64,
    pub sends: u64,
    pub wakes: u64,
}

/// Loads a program with these flags for so long, with `strace` at it.
pub fn count(strace: &Path, flags: &[&str], duration: Duration, call: &Call) -> Outcome<Writes> {
    let folder = tempfile::tempdir()?;
    cores::confine(None, SERVING_CORE)?;
    let mut program = Command::new(env!("CARGO_BIN_EXE_readstates"))
        .args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--data-dir=data"])
        .args(flags)
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    cores::confine(None, CLIENT_CORE)?;
    let counted = count_of(strace, &mut program, folder.path(), duration, call);
    signal(&program, "TERM")?;
    program.wait()?;
    counted
}

fn count_of(
    strace: &Path,
    program: &mut Child,
    folder: &Path,
    duration: Duration,
    call: &Call,
) -> Outcome<Writes> {
    let logged = lines([program.stdout.take().map(boxed), program.stderr.take().map(boxed)]);
    let address = logged.iter().find_map(|line| address(&line));
    let address = address.ok_or("it did not say where it listens")?;
    // Connections and pages are there before anything is counted.
    wire::rate(address, CONNECTIONS, IN_FLIGHT, duration / 4, call)?;
    let summary = folder.join("summary");
    let mut counting = Command::new(strace)
        .args(["-f", "-c", "-e", &format!("trace={},{WAKE}", SENDS.join(",")), "-o"])
        .arg(&summary)
        .args(["-p", &program.id().to_string()])
        .stderr(Stdio::piped())
        .spawn()?;
    let told = lines([counting.stderr.take().map(boxed)]);
    told.iter().find(|line| line.contains("attached")).ok_or("strace does not attach")?;
    let outcome = wire::rate(address, CONNECTIONS, IN_FLIGHT, duration, call);
    signal(&counting, "INT")?;
    counting.wait()?;
    let summary = fs::read_to_string(summary)?;
    let calls = |name: &str| calls(&summary, name);
    Ok(Writes {
        answers: outcome?.calls,
        sends: SENDS.iter().map(|name| calls(name)).sum(),
        wakes: calls(WAKE),
    })
}

/// The calls of one name in a summary of strace: its fourth column.
fn calls(summary: &str, name: &str) -> u64 {
    let line = summary.lines().find(|line| line.split_whitespace().last() == Some(name));
    let calls = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.unwrap_or(0)
}

/// Every line of these pipes, which are read to their ends, whether anybody listens or not.
fn lines<const N: usize>(pipes: [Option<Box<dyn Read + Send>>; N]) -> Receiver<String> {
    let (sender, lines) = channel();
    for pipe in pipes.into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                sender.send(line).ok();
            }
        });
    }
    lines
}

fn boxed(pipe: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(pipe)
}

fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("grpc=")?;
    rest.split([' ', '"']).next()?.parse().ok()
}

fn signal(child: &Child, name: &str) -> Outcome<()> {
    Command::new("kill").args(["-s", name, &child.id().to_string()]).status()?;
    Ok(())
}
