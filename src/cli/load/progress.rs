//! How far a load is, in a file beside that of the dump: what `--resume` goes on with.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::cli::{dump_file::Survey, output::complain};

/// What stands in the file. It is of this load only if all but the rows is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    version: String,
    crc32c: String,
    target: String,
    rows: u64,
}

/// Rows of a dump that a server has durably taken in, from the first on without a gap.
pub struct Progress {
    path: PathBuf,
    noted: Noted,
    /// Told once, then left alone: the load itself goes on without.
    failed: bool,
}

impl Progress {
    /// What is known of a load of this dump into this server.
    pub fn open(dump: &Path, survey: &Survey, target: &str) -> Self {
        let path = beside(dump, ".progress");
        let fresh = Noted {
            version: survey.version.to_string(),
            crc32c: survey.sum.clone(),
            target: target.to_owned(),
            rows: 0,
        };
        let known = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        let same = |known: &Noted| Noted { rows: 0, ..known.clone() } == fresh;
        let noted = known.filter(|known| same(known) && known.rows <= survey.rows);
        Self { path, noted: noted.unwrap_or(fresh), failed: false }
    }

    /// Forgets what is known.
    pub fn start_over(&mut self) {
        self.noted.rows = 0;
    }

    /// Rows that need not be sent again.
    pub fn rows(&self) -> u64 {
        self.noted.rows
    }

    /// Notes that so many rows from the first on are there.
    pub fn note(&mut self, rows: u64) {
        self.noted.rows = rows;
        if let Err(error) = self.write()
            && !self.failed
        {
            self.failed = true;
            let path = self.path.display();
            complain(&format!("readstates: how far it is cannot be noted in {path}: {error}"));
        }
    }

    /// Everything is there.
    pub fn done(self) {
        // One that stays says nothing wrong.
        fs::remove_file(&self.path).ok();
    }

    fn write(&self) -> io::Result<()> {
        let next = beside(&self.path, ".next");
        fs::write(&next, serde_json::to_vec(&self.noted)?)?;
        fs::rename(next, &self.path)
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survey(rows: u64) -> Survey {
        Survey { version: 7, rows, sum: "abc".to_owned(), cut: false }
    }

    #[test]
    fn it_is_found_again_by_the_same_load_only() {
        let directory = tempfile::tempdir().unwrap();
        let dump = directory.path().join("a.ndjson.zst");
        let open = |survey, target| Progress::open(&dump, &survey, target).rows();
        Progress::open(&dump, &survey(10), "here").note(4);
        assert_eq!(open(survey(10), "here"), 4);
        assert_eq!(open(survey(10), "there"), 0);
        assert_eq!(open(survey(3), "here"), 0);
        assert_eq!(open(Survey { sum: "other".to_owned(), ..survey(10) }, "here"), 0);
        Progress::open(&dump, &survey(10), "here").done();
        assert_eq!(open(survey(10), "here"), 0);
        fs::write(directory.path().join("a.ndjson.zst.progress"), "{").unwrap();
        assert_eq!(open(survey(10), "here"), 0);
    }
}
