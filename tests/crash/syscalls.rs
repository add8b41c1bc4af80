//! System calls that fail, one after the other, on the files of the journal and of the store: no
//! acknowledgement is false, the server refuses or ends by itself, and starts again without the
//! fault.
//!
//! `strace` makes them fail, in the thread that is the first to make its n-th such call, and in
//! every other thread at its n-th. A short write cannot be had of it, since it would skip the write
//! and claim a part of it: see `disk_errors`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    crew::{Clients, Crew, Tally},
    node::{Ended, Node, Plan},
    settings::{DURABILITY, either, seed},
    tool::tool,
};

/// Calls acknowledged, if it comes to that.
const ACKNOWLEDGED: u64 = 60;
/// Files of a kind are numbered; a short life makes no more of them.
const FILES_MAX: u64 = 6;

/// Whose files are concerned.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Journal,
    Store,
}

impl Owner {
    /// How many calls of a kind are to fail; the long form goes on until there are no more.
    fn calls_max(self) -> u64 {
        match self {
            Self::Journal => either(40, u64::MAX),
            Self::Store => either(12, u64::MAX),
        }
    }

    /// Everything that a short life makes below `data`: strace wants to be told beforehand.
    fn paths(self, data: &Path) -> Vec<PathBuf> {
        let names = match self {
            Self::Journal => {
                let own = ["", "lock", "manifest", "manifest.new", "spare.new"].map(str::to_owned);
                let segments = (1..=FILES_MAX).map(|number| format!("{number:020}.segment"));
                own.into_iter().chain(segments).map(|name| format!("journal/{name}")).collect()
            }
            Self::Store => {
                let mut names =
                    vec!["readstates-store".to_owned(), "readstates-store.new".to_owned()];
                names.extend(["fjall", "fjall.new"].into_iter().flat_map(engine_files));
                names
            }
        };
        let path = |name: String| data.join(name.trim_end_matches('/'));
        names.into_iter().map(path).chain([data.to_owned()]).collect()
    }
}

fn engine_files(folder: &str) -> Vec<String> {
    let mut names: Vec<String> = ["", "/version", "/lock", "/keyspaces"]
        .iter()
        .map(|name| format!("{folder}{name}"))
        .collect();
    for number in 0..FILES_MAX {
        names.push(format!("{folder}/{number}.jnl"));
        for tree in 0..2 {
            let tree = format!("{folder}/keyspaces/{tree}");
            names.extend([format!("{tree}/v{number}"), format!("{tree}/tables/{number}")]);
        }
    }
    for tree in 0..2 {
        let tree = format!("{folder}/keyspaces/{tree}");
        names.extend([format!("{tree}/current"), format!("{tree}/tables"), tree]);
    }
    names
}

/// The n-th of these calls on files of this owner.
#[derive(Clone, Copy, Debug)]
struct Fault {
    owner: Owner,
    calls: &'static str,
    error: &'static str,
    nth: u64,
}

/// A server whose calls fail.
struct Trial {
    crew: Crew,
    folder: TempDir,
    strace: PathBuf,
}

impl Trial {
    fn new(seed: u64, strace: &Path) -> Self {
        let folder = TempDir::new().expect("there is room for a directory");
        Self { crew: Crew::small(seed), folder, strace: strace.to_owned() }
    }

    fn plan(&self) -> Plan {
        let flags = ["--durability", DURABILITY, "--cache-entries", "200", "--flush-after", "50ms"];
        Plan::new(&self.folder.path().join("data"), &flags)
    }

    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// The server under strace. It is strace that forks: the process that is started stays the
    /// server's own, so that signals and the exit code are its own too.
    fn failing_plan(&self, fault: Fault) -> Plan {
        let mut plan = self.plan();
        let Fault { owner, calls, error, nth } = fault;
        let inject = format!("inject={calls}:error={error}:when={nth}");
        let mut under = vec![self.strace.clone().into_os_string()];
        under.extend(["-D", "-f", "--seccomp-bpf", "-o"].map(Into::into));
        under.push(self.trace().into_os_string());
        under.extend(["-e".into(), format!("trace={calls}").into(), "-e".into(), inject.into()]);
        for path in owner.paths(&plan.data) {
            under.extend(["-P".into(), path.into_os_string()]);
        }
        plan.under = under;
        plan
    }

    async fn live(&mut self) {
        let node = self.plan().start().unwrap_or_else(|ended| panic!("{ended:#?}"));
        let (ended, tally) = self.crew.round(node, ACKNOWLEDGED, stop).await;
        assert_nothing_found(&tally, &ended, None);
    }

    /// One life with a fault; whether it struck.
    async fn fail(&mut self, fault: Fault) -> bool {
        match self.failing_plan(fault).start() {
            Ok(node) => {
                let (ended, tally) = self.crew.round(node, ACKNOWLEDGED, stop).await;
                assert_nothing_found(&tally, &ended, Some(fault));
            }
            Err(ended) => assert!(ended.status.code().is_some(), "{fault:?}: {ended:#?}"),
        }
        let trace = fs::read_to_string(self.trace()).expect("strace writes it");
        trace.contains("(INJECTED)")
    }

    /// Everything acknowledged is there once no call fails any more.
    async fn check(&mut self, fault: Fault) {
        let node = self.plan().start();
        let node = node.unwrap_or_else(|ended| panic!("after {fault:?}: {ended:#?}"));
        let tally = self.crew.compare(&node).await;
        assert_nothing_found(&tally, &node.kill(), Some(fault));
    }
}

async fn stop(node: Node, _: Clients) -> Ended {
    node.kill()
}

#[track_caller]
fn assert_nothing_found(tally: &Tally, ended: &Ended, fault: Option<Fault>) {
    let found = tally.findings.join("\n");
    assert!(found.is_empty(), "{fault:?}: {found}\n\nThe end of the log: {:#?}", ended.log);
}

/// Lets each of these calls fail, from the first start of a server on, and from a later one on.
async fn fail_each(calls: &'static str, error: &'static str) {
    let Some(strace) = tool("strace", "install strace 5.3 or newer") else { return };
    let seed = seed();
    for owner in [Owner::Journal, Owner::Store] {
        for used in [false, true] {
            for nth in 1..=owner.calls_max() {
                let mut trial = Trial::new(seed.wrapping_add(nth), &strace);
                if used {
                    trial.live().await;
                }
                let fault = Fault { owner, calls, error, nth };
                let struck = trial.fail(fault).await;
                trial.check(fault).await;
                if !struck {
                    println!("{owner:?}: {} x {calls}: {error}, used: {used}", nth - 1);
                    break;
                }
            }
        }
    }
}

/// One test per kind, so that they run side by side.
macro_rules! fail_each {
    ($($name:ident: $calls:literal, $error:literal;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                fail_each($calls, $error).await;
            }
        )+
    };
}

fail_each! {
    any_open_may_fail: "openat", "EIO";
    any_read_may_fail: "read,pread64", "EIO";
    any_write_may_fail: "write,pwrite64", "EIO";
    any_write_may_find_the_disk_full: "write,pwrite64", "ENOSPC";
    any_resize_may_find_the_disk_full: "ftruncate", "ENOSPC";
    fsyncgate_any_sync_may_fail_once: "fsync,fdatasync", "EIO";
    any_rename_may_fail: "?rename,renameat,renameat2", "EIO";
    any_removal_may_fail: "?unlink,?rmdir,unlinkat", "EIO";
}
