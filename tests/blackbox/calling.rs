//! A foreign client that calls until it is told to end, and then says whether all was well.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
};

pub struct Calling {
    child: Child,
    told: BufReader<ChildStdout>,
}

impl Calling {
    /// Waits until it has begun.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter was found");
        let mut told = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        told.read_line(&mut line).expect("it says so");
        assert_eq!(line, "begun\n");
        Self { child, told }
    }

    /// Ends it; what it told.
    pub fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.told.read_to_string(&mut rest).expect("it is text");
        assert!(self.child.wait().expect("it ends").success(), "{rest}");
        assert!(rest.ends_with("every check passed\n"), "{rest}");
        rest
    }
}

impl Drop for Calling {
    /// Where a test ends before it.
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
