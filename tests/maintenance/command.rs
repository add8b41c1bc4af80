//! The program's commands, run to their ends.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::program;

/// A directory with files of dumps.
pub struct Desk(TempDir);

/// How a command ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("no signal ended it");
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// The JSON that it printed, whatever its code.
    #[track_caller]
    pub fn json(&self) -> Value {
        let json = serde_json::from_str(&self.stdout);
        json.unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// A count in its JSON.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        let json = self.json();
        let text = json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}"));
        text.parse().expect("a number")
    }

    /// The same, which must have ended well.
    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }
}

impl Desk {
    pub fn new() -> Self {
        Self(TempDir::new().expect("there is room for a directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, target: &str, words: &[&str]) -> Command {
        let mut command = program(self.0.path());
        command.args(words).args(["--target", &format!("http://{target}")]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end. The servers of a test are other processes or threads.
    pub fn run(&self, target: &str, words: &[&str]) -> Ran {
        Ran::of(self.command(target, words).output().expect("the program is built"))
    }

    /// Starts a command.
    pub fn spawn(&self, target: &str, words: &[&str]) -> Running {
        Running(self.command(target, words).spawn().expect("the program is built"))
    }

    /// A whole dump, which must work.
    #[track_caller]
    pub fn dump(&self, target: &str, name: &str) -> Ran {
        self.run(target, &["dump", "--json", "--output", name]).well()
    }

    /// A load, which must work.
    #[track_caller]
    pub fn load(&self, target: &str, name: &str) -> Ran {
        self.run(target, &["load", "--json", name]).well()
    }

    /// The unpacked bytes of a dump.
    pub fn text(&self, name: &str) -> Vec<u8> {
        let bytes = std::fs::read(self.path(name)).expect("it is there");
        if Path::new(name).extension().is_some_and(|extension| extension == "zst") {
            return zstd::decode_all(&bytes[..]).expect("it is whole");
        }
        bytes
    }

    /// The states of a dump.
    pub fn rows(&self, name: &str) -> Vec<Value> {
        let text = String::from_utf8(self.text(name)).expect("it is text");
        let lines: Vec<&str> = text.lines().collect();
        let rows = lines[1..lines.len() - 1].iter();
        rows.map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
    }
}

/// A command under way.
pub struct Running(Child);

impl Running {
    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a child can be waited for").is_some()
    }

    /// Ends it at once.
    pub fn kill(mut self) {
        // Where it has just ended by itself that is as good.
        self.0.kill().ok();
        self.0.wait().expect("a child can be waited for");
    }

    pub fn ended(self) -> Ran {
        Ran::of(self.0.wait_with_output().expect("a child can be waited for"))
    }
}
