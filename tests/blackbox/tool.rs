//! Programs of other projects that the tests run where they are installed. A machine without them
//! skips those tests and says so; under CI a missing one is a failure.

use std::{
    env,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output},
};

/// The program `name`: from `READSTATES_TEST_<NAME>`, else from `PATH`. `install` says how to get
/// it.
pub fn tool(name: &str, install: &str) -> Option<PathBuf> {
    let variable = format!("READSTATES_TEST_{}", name.replace('-', "_").to_uppercase());
    if let Some(path) = env::var_os(&variable) {
        return Some(PathBuf::from(path));
    }
    let found = on_path(name);
    if found.is_none() {
        skipped(&format!("no {name}: {install}, or set {variable}"));
    }
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    let directories = env::var_os("PATH")?;
    env::split_paths(&directories).map(|path| path.join(name)).find(|path| path.is_file())
}

/// Says that a test did not run, past the capture of test output.
///
/// # Panics
/// Under CI, which is to have everything.
pub fn skipped(why: &str) {
    assert!(env::var_os("CI").is_none(), "{why}");
    writeln!(std::io::stderr(), "SKIPPED: {why}").ok();
}

/// The Python that has the packages of `.ci/requirements.txt`.
pub fn python() -> Option<PathBuf> {
    let python = match env::var_os("READSTATES_TEST_PYTHON") {
        Some(path) => PathBuf::from(path),
        None => tool("python3", "install Python 3.9 or newer")?,
    };
    let imported = run(Command::new(&python).args(["-c", "import grpc, grpc_status, grpc_tools"]));
    if imported.status.success() {
        return Some(python);
    }
    skipped(
        "no grpcio: pip install -r .ci/requirements.txt, \
         or set READSTATES_TEST_PYTHON to a Python that has it",
    );
    None
}

/// Node and a `node_modules` that has the packages of `.ci/package.json`.
pub fn node() -> Option<(PathBuf, PathBuf)> {
    let node = tool("node", "install Node.js 18 or newer")?;
    let modules = env::var_os("READSTATES_TEST_NODE_MODULES").map(PathBuf::from);
    let modules = modules.filter(|modules| modules.join("@grpc/grpc-js").is_dir());
    if modules.is_none() {
        skipped(
            "no grpc-js: npm install what .ci/package.json names, \
             and set READSTATES_TEST_NODE_MODULES to its node_modules",
        );
    }
    Some((node, modules?))
}

/// Where the foreign clients are.
pub fn clients() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Where the contract is, as `protoc` wants it.
pub fn proto_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto")
}

pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What a command wrote, which must have ended well.
#[track_caller]
pub fn succeeds(command: &mut Command) -> String {
    let output = run(command);
    let [stdout, stderr] = text(&output);
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout
}

/// Standard output and standard error.
pub fn text(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}
