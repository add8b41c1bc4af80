//! What happened in a run, line by line: for a reader, and to tell that two runs are the same.

use std::{cell::RefCell, rc::Rc};

/// Takes lines; clones are the same trace.
#[derive(Clone, Default)]
pub struct Trace(Option<Rc<Lines>>);

struct Lines {
    told: bool,
    lines: RefCell<Vec<String>>,
}

impl Trace {
    /// Keeps its lines, and prints them as they come where they are to be `told`.
    pub fn kept(told: bool) -> Self {
        Self(Some(Rc::new(Lines { told, lines: RefCell::default() })))
    }

    /// Takes a line down. Where nobody wants lines it is not even made.
    pub fn note(&self, line: impl FnOnce() -> String) {
        let Some(inner) = &self.0 else { return };
        let line = line();
        if inner.told {
            println!("{line}");
        }
        inner.lines.borrow_mut().push(line);
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.as_ref().map(|inner| inner.lines.borrow().clone()).unwrap_or_default()
    }
}
