//! The house rules as a test: rooms import only what they may, and files stay in shape. Each
//! finding names its file and line and what to do instead.

#[path = "tidy/finding.rs"]
mod finding;
#[path = "tidy/locks.rs"]
mod locks;
#[path = "tidy/logs.rs"]
mod logs;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/source.rs"]
mod source;

use std::{
    fs,
    path::{Path, PathBuf},
};

use finding::{Finding, told};
use source::Source;

/// Where the project's own code is.
const TREES: [&str; 4] = ["src", "tests", "benches", "examples"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `directory`, in order; none where there is no such directory.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it lists").path()).collect();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn sources() -> Vec<Source> {
    let mut files = vec![root().join("build.rs")];
    files.extend(TREES.iter().flat_map(|tree| rust_files(&root().join(tree))));
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(root()).expect("it is below").to_string_lossy().into_owned();
        Source::new(&name, &fs::read_to_string(path).expect("it is text"))
    };
    files.iter().map(read).collect()
}

#[track_caller]
fn assert_none(findings: Vec<Finding>) {
    assert!(findings.is_empty(), "{}", told(&findings));
}

#[test]
fn rooms_import_only_what_they_may() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    let crates = rooms::dependencies(&manifest);
    assert_none(sources().iter().flat_map(|source| rooms::check(source, &crates)).collect());
}

#[test]
fn files_are_in_shape() {
    assert_none(sources().iter().flat_map(shape::check).collect());
}

#[test]
fn logs_name_no_users() {
    assert_none(sources().iter().flat_map(logs::check).collect());
}

#[test]
fn fuzzed_is_what_is_shipped() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("it is there");
    assert_none(locks::check(&read("Cargo.lock"), &read("tests/fuzz/Cargo.lock")));
}

#[test]
fn the_sources_are_found() {
    let sources = sources();
    for path in ["build.rs", "src/lib.rs", "src/model/mod.rs", "tests/tidy.rs"] {
        assert!(sources.iter().any(|source| source.path == path), "{path} is missing");
    }
}
