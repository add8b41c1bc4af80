//! A disk of which one call fails, whichever: nothing is acknowledged that the disk has not, the
//! server refuses or ends by itself, and starts again once the disk is well.
//!
//! Each life ends with a power cut, so that what a failed sync left behind does not come to last by
//! luck.

use fuser::Errno;
use rand::{SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;

use crate::{
    crew::{Clients, Crew, Tally},
    fs::{Call, Disk, Failure, Fault, Mount},
    node::{Ended, Node, Plan},
    settings::{DURABILITY, either, seed},
};

/// Calls acknowledged, if the disk lets it come to that.
const ACKNOWLEDGED: u64 = 60;

/// A server on a disk that is about to fail.
struct Trial {
    seed: u64,
    crew: Crew,
    folder: TempDir,
    disk: Disk,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let folder = TempDir::new().expect("there is room for a directory");
        Self { seed, crew: Crew::small(seed), folder, disk: Disk::default() }
    }

    fn mount(&self) -> Mount {
        Mount::new(self.disk.clone(), self.folder.path()).expect("it could be mounted before")
    }

    fn plan(&self) -> Plan {
        let flags = ["--durability", DURABILITY, "--cache-entries", "200", "--flush-after", "50ms"];
        Plan::new(&self.folder.path().join("data"), &flags)
    }

    /// One life, from a start to a power cut; what was found, and whether the fault struck.
    async fn live(&mut self, fault: Option<Fault>) -> bool {
        let mount = self.mount();
        if let Some(fault) = fault {
            mount.fail(fault);
        }
        match self.plan().start() {
            Ok(node) => {
                let (ended, tally) = self.crew.round(node, ACKNOWLEDGED, stop).await;
                assert_nothing_found(&tally, &ended, fault);
            }
            Err(ended) => {
                assert!(mount.has_failed(), "it does not start on a sound disk: {ended:#?}");
                assert!(ended.status.code().is_some(), "{fault:?}: {ended:#?}");
            }
        }
        let struck = mount.has_failed();
        let mut rng = StdRng::seed_from_u64(self.seed ^ fault.map_or(0, |fault| fault.nth));
        self.disk = mount.unmount().after_power_cut(&mut rng);
        struck
    }

    /// Everything acknowledged is there once the disk is well.
    async fn check(&mut self, fault: Fault) {
        let mount = self.mount();
        let node = self.plan().start();
        let node = node.unwrap_or_else(|ended| panic!("after {fault:?}: {ended:#?}"));
        let tally = self.crew.compare(&node).await;
        assert_nothing_found(&tally, &node.kill(), Some(fault));
        mount.unmount();
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

/// Lets each call of this kind fail that a server makes, one by one: from its first start on, and
/// from a later start on.
async fn fail_each(call: Call, failure: Failure) {
    if !Mount::is_possible() {
        return;
    }
    let seed = seed();
    for used in [false, true] {
        for nth in 1..=either(40, u64::MAX) {
            let mut trial = Trial::new(seed.wrapping_add(nth));
            if used {
                trial.live(None).await;
            }
            let fault = Fault { call, nth, failure };
            let struck = trial.live(Some(fault)).await;
            trial.check(fault).await;
            if !struck {
                println!("{call:?}, {failure:?}: {} calls, on a used disk: {used}", nth - 1);
                break;
            }
        }
    }
}

/// One test per kind, so that they run side by side.
macro_rules! fail_each {
    ($($name:ident: $call:ident, $failure:expr;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                fail_each(Call::$call, $failure).await;
            }
        )+
    };
}

fail_each! {
    any_write_may_fail: Write, Failure::Error(Errno::EIO);
    any_write_may_find_the_disk_full: Write, Failure::Error(Errno::ENOSPC);
    any_write_may_be_short: Write, Failure::Short;
    any_resize_may_fail: Resize, Failure::Error(Errno::ENOSPC);
    fsyncgate_a_sync_that_failed_once_is_not_made_good_by_the_next: SyncFile,
        Failure::Error(Errno::EIO);
    any_sync_of_a_folder_may_fail: SyncFolder, Failure::Error(Errno::EIO);
    any_new_file_may_be_refused: Make, Failure::Error(Errno::ENOSPC);
    any_rename_may_fail: Rename, Failure::Error(Errno::EIO);
    any_removal_may_fail: Remove, Failure::Error(Errno::EIO);
}
