//! A test of this binary in a process of its own, which has one fault.

use std::{env, process::Command};

use readstates::sabotage::Fault;

/// Chooses the fault.
const VARIABLE: &str = "READSTATES_SABOTAGE";

/// Whether this process was started by [`run`] with a fault.
pub fn is_child() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// How a test of this binary ends in a process that has `fault`: `None` where it passes, else what
/// it says about that.
pub fn run(test: &str, fault: Option<Fault>) -> Option<String> {
    let mut command = Command::new(env::current_exe().expect("it runs"));
    command.args(["--exact", test, "--nocapture"]).env("RUST_BACKTRACE", "0");
    match fault {
        Some(fault) => command.env(VARIABLE, fault.name()),
        None => command.env_remove(VARIABLE),
    };
    let output = command.output().expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("running 1 test"), "{test} is not there: {told}");
    if output.status.success() {
        return None;
    }
    let seed = told.lines().find(|line| line.contains("failed: READSTATES_TEST_SEED"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut errors = errors.lines().skip_while(|line| !line.contains("panicked at"));
    let why = errors.nth(1).unwrap_or_default().chars().take(90).collect::<String>();
    Some(match seed.and_then(|line| line.split(' ').nth(1)) {
        Some(seed) => format!("{test}, seed {seed}: {why}"),
        None => format!("{test}: {why}"),
    })
}
