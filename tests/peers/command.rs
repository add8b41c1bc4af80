//! The command that compares, but for what it measures; and the peer's own checks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::{
    peer::{go, sources},
    tool::{run, succeeds, text, tool},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers")
}

/// Python itself, rather than what stands for it on the path.
fn python() -> Option<PathBuf> {
    let found = tool("python3", "install Python 3.9 or newer")?;
    let told = succeeds(Command::new(found).args(["-c", "import sys; print(sys.executable)"]));
    Some(PathBuf::from(told.trim()))
}

fn check(python: &Path, flags: &[&str], path: Option<&Path>) -> Output {
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(folder().join("run")).arg("--check");
    if let Some(path) = path {
        command.env("PATH", path);
    }
    run(command.args(flags))
}

#[test]
fn the_harness_passes_its_own_tests() {
    let Some(python) = python() else { return };
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder());
    succeeds(command.args(["-m", "unittest", "discover", "-s", "tests", "-t", "."]));
}

#[test]
fn the_peer_is_formatted_and_passes_its_own_tests() {
    let Some(go) = go() else { return };
    let in_sources = |program: &Path, words: &[&str]| {
        succeeds(Command::new(program).args(words).current_dir(sources()))
    };
    let root = in_sources(go, &["env", "GOROOT"]);
    let gofmt = Path::new(root.trim()).join("bin/gofmt");
    assert_eq!(in_sources(&gofmt, &["-l", "."]), "", "these files are not formatted");
    in_sources(go, &["vet", "./..."]);
    in_sources(go, &["test", "./..."]);
}

#[test]
fn the_command_says_what_is_there() {
    let Some(python) = python() else { return };
    let told = check(&python, &["--binary", env!("CARGO_BIN_EXE_readstates")], None);
    let [stdout, stderr] = text(&told);
    for name in ["taskset", "readstates", "go", "redis", "postgres"] {
        assert!(stderr.contains(&format!("  {name}: ")), "{name}: {stderr}");
    }
    assert!(stderr.contains("left out") && stdout.is_empty(), "{stdout}{stderr}");
}

#[test]
fn the_command_says_what_is_missing_and_what_is_left_out() {
    let Some(python) = python() else { return };
    let empty = TempDir::new().expect("there is room for a directory");
    let told = check(&python, &["--no-fetch"], Some(empty.path()));
    let [_, stderr] = text(&told);
    assert_eq!(told.status.code(), Some(1), "{stderr}");
    for name in ["taskset", "readstates", "go"] {
        assert!(stderr.contains(&format!("  {name}: missing: install")), "{name}: {stderr}");
    }
    assert!(stderr.contains("left out: go, rust, streams, redis, postgres"), "{stderr}");
}

/// One side, one round, one second: that everything runs, not how fast.
#[test]
fn the_command_measures_and_reports() {
    let Some(python) = python() else { return };
    if tool("taskset", "install util-linux").is_none() {
        return;
    }
    let reported = TempDir::new().expect("there is room for a directory");
    let flags = "--only rust --entries 1000 --rate 200 --rounds 1 --open-seconds 1 --warm-up 0 \
                 --foreign-max 1000";
    let mut command = Command::new(python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(folder().join("run"));
    command.args(flags.split_whitespace()).arg("--output").arg(reported.path());
    let printed = succeeds(command.args(["--binary", env!("CARGO_BIN_EXE_readstates")]));
    assert!(printed.contains("| p99.9 |"), "{printed}");
    for file in ["report.md", "comparison.svg", "percentiles.svg"] {
        assert!(reported.path().join(file).is_file(), "{file} is missing");
    }
    let results = fs::read(reported.path().join("results.json")).expect("it was written");
    let results: serde_json::Value = serde_json::from_slice(&results).expect("it is JSON");
    let round = &results["rounds"][0];
    assert!(round["report"]["calls"].as_u64() > Some(0), "{round}");
    assert_eq!(round["report"]["errors"], serde_json::json!({}));
}

#[test]
fn files_keep_to_the_lines_and_columns_of_the_house() {
    let mut folders = vec![folder()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it lists") {
            let path = entry.expect("it lists").path();
            if path.is_dir() && !path.ends_with("internal/contract") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "py" || end == "go") {
                let source = fs::read_to_string(&path).expect("it is text");
                assert!(source.lines().count() <= 400, "{} is too long", path.display());
                let width = source.lines().map(|line| line.chars().count()).max();
                assert!(width <= Some(100), "{} is too wide", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen} files");
}
