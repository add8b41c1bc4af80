//! The callers of a file, and who of them shows what.

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use super::{
    Digest, PeerIdentity, PeerName, Roles, read,
    tokens::{Place, Tokens},
};

/// Callers of one file at most, and its bytes.
pub(super) const CALLERS_MAX: usize = 10_000;
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Errors that are told of one file; the rest is counted.
const ERRORS_TOLD_MAX: usize = 50;

/// One who may call.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What it is called, in the file and in the log.
    pub name: Arc<str>,
    /// What it is there to do.
    pub roles: Roles,
    /// From when on it may not any more, in seconds since the Unix epoch.
    pub expires: Option<u64>,
}

impl Caller {
    /// Whether its time is over at that second.
    pub fn has_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Everyone who may call.
#[derive(Debug)]
pub struct Callers {
    all: Vec<Caller>,
    tokens: Tokens,
    peers: HashMap<PeerName, Place>,
}

/// A caller with all its credentials, as the file has it.
#[derive(Debug)]
pub(super) struct Entry {
    pub caller: Caller,
    pub tokens: Vec<Digest>,
    pub peers: Vec<PeerName>,
}

impl Callers {
    /// The callers of the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: &Path) -> Result<Self, CallersErrors> {
        let bytes = bytes(path).map_err(|error| CallersErrors::unread(path, &error))?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    /// The callers of a file of that name that has these `bytes`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, CallersErrors> {
        let of_file = |problem: &str| CallersErrors::of_file(file.to_owned(), problem.to_owned());
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(of_file("it is larger than 1 MiB"));
        }
        let text = str::from_utf8(bytes).map_err(|_| of_file("it is not UTF-8"))?;
        let refused = |errors| CallersErrors { file: file.to_owned(), errors };
        read::entries(text).map(Self::of).map_err(refused)
    }

    /// No credential of `entries` comes twice.
    fn of(entries: Vec<Entry>) -> Self {
        let (mut all, mut tokens, mut peers) = (Vec::new(), Vec::new(), HashMap::new());
        for (place, entry) in (0..).zip(entries) {
            all.push(entry.caller);
            tokens.extend(entry.tokens.into_iter().map(|digest| (digest, place)));
            peers.extend(entry.peers.into_iter().map(|name| (name, place)));
        }
        Self { all, tokens: Tokens::new(&tokens), peers }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// How many of them have expired at that second.
    pub fn count_expired(&self, now: u64) -> usize {
        self.all.iter().filter(|caller| caller.has_expired(now)).count()
    }

    /// Who has the token with this digest.
    pub(super) fn by_token(&self, digest: &Digest) -> Option<&Caller> {
        self.tokens.find(digest).map(|place| &self.all[place as usize])
    }

    /// Whom a certificate vouches for: the first of its names that is a caller's decides.
    pub(super) fn by_peer(&self, peer: &PeerIdentity) -> Option<&Caller> {
        let place = peer.names().find_map(|name| self.peers.get(name))?;
        Some(&self.all[*place as usize])
    }
}

/// What is in the file, and no more of it than is looked at.
pub(super) fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// One thing that is wrong with a callers file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallersError {
    /// Counted from 1; `None` where it is about the whole file.
    pub line: Option<usize>,
    /// Whom it is about, where that one has a name.
    pub caller: Option<String>,
    /// What is wrong, and what is allowed instead.
    pub problem: String,
}

impl fmt::Display for CallersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(caller) = &self.caller {
            write!(f, "caller {caller:?}: ")?;
        }
        f.write_str(&self.problem)
    }
}

/// Everything that is wrong with a callers file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallersErrors {
    /// The file's name.
    pub file: String,
    /// In the order of the file.
    pub errors: Vec<CallersError>,
}

impl CallersErrors {
    pub(super) fn unread(path: &Path, error: &io::Error) -> Self {
        Self::of_file(path.display().to_string(), format!("it cannot be read: {error}"))
    }

    fn of_file(file: String, problem: String) -> Self {
        Self { file, errors: vec![CallersError { line: None, caller: None, problem }] }
    }
}

impl fmt::Display for CallersErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the callers file {} is refused:", self.file)?;
        let mut told = self.errors.iter().take(ERRORS_TOLD_MAX);
        told.try_for_each(|error| write!(f, "\n  {error}"))?;
        match self.errors.len().saturating_sub(ERRORS_TOLD_MAX) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for CallersErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_as_text_only() {
        let refused =
            |bytes: &[u8]| Callers::parse("x", bytes).expect_err("it is wrong").to_string();
        let large = vec![b'#'; FILE_BYTES_MAX as usize + 1];
        assert_eq!(refused(&large), "the callers file x is refused:\n  it is larger than 1 MiB");
        assert_eq!(refused(&[0xff]), "the callers file x is refused:\n  it is not UTF-8");
    }

    #[test]
    fn of_very_many_errors_the_first_are_told_and_the_rest_counted() {
        let text = "[[caller]]\nname = \"a\"\n".repeat(100);
        let errors = Callers::parse("x", text.as_bytes()).expect_err("it is wrong");
        assert_eq!(errors.errors.len(), 299);
        let told = errors.to_string();
        assert_eq!(told.lines().count(), 2 + ERRORS_TOLD_MAX);
        assert!(told.ends_with("\n  and 249 more"), "{told}");
    }
}
