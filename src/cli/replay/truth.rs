//! The truth: what every pair of user and channel must hold after a trace was played.

use std::{collections::BTreeMap, path::Path};

use super::input::{InputError, Lines};

/// The header of a truth.
const COLUMNS: [&str; 4] = ["user_id", "channel_id", "last_acked_id", "mention_count"];

/// What one row must hold. `mentions_exact` is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The watermark; 0 for nothing read.
    pub last_acked_id: u64,
    /// Unread mentions.
    pub mention_count: u32,
}

/// What every row must hold, by user and channel.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Truth {
    rows: BTreeMap<(u64, u64), Held>,
}

impl Truth {
    /// Reads the truth at `path`. A pair that is there twice is an error.
    pub fn read(path: &Path) -> Result<Self, InputError> {
        let mut lines = Lines::open(path, &COLUMNS)?;
        let mut rows = BTreeMap::new();
        while let Some(line) = lines.next_line()? {
            let pair = (line.id(0)?, line.id(1)?);
            let held = Held { last_acked_id: line.number(2)?, mention_count: line.number(3)? };
            if rows.insert(pair, held).is_some() {
                return Err(line.error("this user and channel were there before"));
            }
        }
        Ok(Self { rows })
    }

    /// How many rows there must be.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Every user with a row, rising, each as often as there are rows.
    pub fn users(&self) -> impl Iterator<Item = u64> {
        self.rows.keys().map(|(user, _)| *user)
    }

    /// The rows of `user` by channel.
    pub fn of_user(&self, user: u64) -> impl Iterator<Item = (u64, Held)> {
        let rows = self.rows.range((user, 0)..=(user, u64::MAX));
        rows.map(|((_, channel), held)| (*channel, *held))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::input::tests::in_every_packing, *};

    const HEADER: &str = "user_id,channel_id,last_acked_id,mention_count\n";

    #[test]
    fn every_packing_reads_the_same() {
        let directory = tempfile::tempdir().unwrap();
        for path in
            in_every_packing(directory.path(), &format!("{HEADER}2,3,0,7\n1,9,8,0\n1,3,4,5\n"))
        {
            let truth = Truth::read(&path).unwrap();
            assert_eq!(truth.len(), 3);
            let rows: Vec<_> = truth.of_user(1).collect();
            let held = |last_acked_id, mention_count| Held { last_acked_id, mention_count };
            assert_eq!(rows, [(3, held(4, 5)), (9, held(8, 0))]);
            assert_eq!(truth.users().collect::<Vec<_>>(), [1, 1, 2]);
        }
    }

    #[test]
    fn bad_rows_are_told_by_their_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.csv");
        for bad in ["1,2,3,4", "0,2,3,4", "5,0,3,4", "5,6,,4", "5,6,3,4294967296", "5,6,3"] {
            std::fs::write(&path, format!("{HEADER}1,2,3,4\n{bad}\n")).unwrap();
            let error = Truth::read(&path).unwrap_err().to_string();
            assert!(error.contains("t.csv:3: "), "{bad}: {error}");
        }
    }
}
