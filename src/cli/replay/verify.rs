//! Verifying: every row that the server holds of every user against the truth.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tonic::Status;

use super::{
    crew::Crew,
    truth::{Held, Truth},
};
use crate::{
    cli::{latency::Latency, pages::Pages, target::Client},
    proto::{ListRequest, ListResponse, ReadState, ReadStateType},
};

/// Rows asked for at a time.
const PAGE_ROWS: i32 = 1_000;
/// Differences that are kept to be shown; the others are counted.
const EXAMPLES_MAX: usize = 10;

/// What verifying found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Rows of the truth.
    pub expected: u64,
    /// Rows that are as they should be.
    pub equal: u64,
    /// Rows with another watermark or count.
    pub differ: u64,
    /// Rows of the truth that are not there.
    pub missing: u64,
    /// Rows that are there and should not be.
    pub unexpected: u64,
    /// Users whose rows were compared.
    pub users: u64,
    /// The first differences by user and channel.
    pub examples: BTreeSet<Difference>,
    /// How long pages took.
    pub latency: Latency,
    /// How long verifying took.
    pub elapsed: Duration,
}

/// One row that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Whose.
    pub user: u64,
    /// Which channel.
    pub channel: u64,
    /// Its number in the contract.
    pub kind: i32,
    /// What it should hold; `None` if it should not be there.
    pub expected: Option<Held>,
    /// What it holds; `None` if it is not there.
    pub found: Option<Held>,
}

impl Findings {
    /// Whether every row of the truth is there, as it should be, and nothing else is.
    pub fn is_clean(&self) -> bool {
        self.equal == self.expected && self.differ + self.missing + self.unexpected == 0
    }

    /// Holds all rows found of a user against all rows expected of it.
    fn compare(
        &mut self,
        user: u64,
        expected: impl Iterator<Item = (u64, Held)>,
        found: &[ReadState],
    ) {
        let mut expected: BTreeMap<u64, Held> = expected.collect();
        for state in found {
            let counts = state.user_id == user && state.r#type() == ReadStateType::Channel;
            let wanted = if counts { expected.remove(&state.channel_id) } else { None };
            self.compare_row(user, state, wanted);
        }
        for (channel, held) in expected {
            self.missing += 1;
            let kind = ReadStateType::Channel.into();
            self.keep(Difference { user, channel, kind, expected: Some(held), found: None });
        }
        self.users += 1;
    }

    fn compare_row(&mut self, user: u64, state: &ReadState, expected: Option<Held>) {
        let found = Held { last_acked_id: state.last_acked_id, mention_count: state.mention_count };
        match expected {
            Some(held) if held == found && !state.deleted => return self.equal += 1,
            Some(_) => self.differ += 1,
            None => self.unexpected += 1,
        }
        let (channel, kind) = (state.channel_id, state.r#type);
        self.keep(Difference { user, channel, kind, expected, found: Some(found) });
    }

    fn keep(&mut self, difference: Difference) {
        self.examples.insert(difference);
        if self.examples.len() > EXAMPLES_MAX {
            self.examples.pop_last();
        }
    }
}

/// Compares all rows of everybody in `truth` and of `seen`. Users that could not be listed are in
/// the crew's trouble, and their rows are then not among the equal ones.
pub async fn verify(crew: &Arc<Crew>, truth: Truth, seen: HashSet<u64>) -> Findings {
    let begun = Instant::now();
    let users: BTreeSet<u64> = truth.users().chain(seen).collect();
    crew.bar.reset();
    crew.bar.set_length(users.len() as u64);
    let findings = Findings { expected: truth.len() as u64, ..Findings::default() };
    let check = Arc::new(Check {
        truth,
        users: Mutex::new(users.into_iter()),
        findings: Mutex::new(findings),
    });
    crew.run(|crew, client| check.clone().work(crew, client)).await;
    let mut findings = check.findings.lock().clone();
    findings.elapsed = begun.elapsed();
    findings
}

/// What the workers share. Both locks are leaves, held for moments, never across a call.
struct Check {
    truth: Truth,
    users: Mutex<std::collections::btree_set::IntoIter<u64>>,
    findings: Mutex<Findings>,
}

impl Check {
    async fn work(self: Arc<Self>, crew: Arc<Crew>, client: Client) {
        while !crew.trouble.is_stopped() {
            let Some(user) = self.next_user() else { return };
            if let Some(rows) = self.rows(&crew, &client, user).await {
                self.findings.lock().compare(user, self.truth.of_user(user), &rows);
            }
            crew.bar.inc(1);
        }
    }

    fn next_user(&self) -> Option<u64> {
        self.users.lock().next()
    }

    /// All rows of a user; `None` if they are not to be had.
    async fn rows(&self, crew: &Crew, client: &Client, user: u64) -> Option<Vec<ReadState>> {
        let what = format_args!("List of user {user}").to_string();
        let mut rows = Vec::new();
        let mut pages = Pages::new(ListRequest {
            user_id: user,
            page_size: PAGE_ROWS,
            ..ListRequest::default()
        });
        while let Some(request) = pages.request() {
            let (page, latency) = match crew.persist(|| send(client.clone(), request.clone())).await
            {
                Ok(answer) => answer,
                Err(error) => {
                    crew.trouble.call_failed(&what, error);
                    return None;
                }
            };
            self.findings.lock().latency.record(latency);
            if let Err(breach) = pages.turn(&page) {
                crew.trouble.failed(&what, &breach);
                return None;
            }
            rows.extend(page.states);
        }
        Some(rows)
    }
}

async fn send(
    mut client: Client,
    request: ListRequest,
) -> Result<(ListResponse, Duration), Status> {
    let sent_at = Instant::now();
    let page = client.list(request).await?.into_inner();
    Ok((page, sent_at.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: u64 = 7;

    fn held(last_acked_id: u64, mention_count: u32) -> Held {
        Held { last_acked_id, mention_count }
    }

    fn row(channel_id: u64, held: Held) -> ReadState {
        ReadState {
            user_id: USER,
            channel_id,
            last_acked_id: held.last_acked_id,
            mention_count: held.mention_count,
            r#type: ReadStateType::Channel.into(),
            ..ReadState::default()
        }
    }

    fn findings(expected: &[(u64, Held)], found: &[ReadState]) -> Findings {
        let mut findings = Findings { expected: expected.len() as u64, ..Findings::default() };
        findings.compare(USER, expected.iter().copied(), found);
        findings
    }

    fn counts(findings: &Findings) -> [u64; 4] {
        [findings.equal, findings.differ, findings.missing, findings.unexpected]
    }

    #[test]
    fn equal_rows_are_clean_whether_exact_or_not() {
        let found = [
            row(1, held(5, 0)),
            ReadState { mentions_exact: true, version: 9, ..row(2, held(0, 3)) },
        ];
        let findings = findings(&[(1, held(5, 0)), (2, held(0, 3))], &found);
        assert_eq!(counts(&findings), [2, 0, 0, 0]);
        assert!(findings.is_clean());
    }

    #[test]
    fn nobody_and_nothing_is_clean() {
        assert!(findings(&[], &[]).is_clean());
    }

    #[test]
    fn another_watermark_or_count_differs() {
        let expected = [(1, held(5, 0)), (2, held(6, 0))];
        let findings = findings(&expected, &[row(1, held(5, 1)), row(2, held(4, 0))]);
        assert_eq!(counts(&findings), [0, 2, 0, 0]);
        assert!(!findings.is_clean());
        let first = findings.examples.first().unwrap();
        assert_eq!((first.expected, first.found), (Some(held(5, 0)), Some(held(5, 1))));
    }

    #[test]
    fn rows_that_are_absent_are_missing() {
        let findings = findings(&[(1, held(5, 0)), (2, held(6, 0))], &[row(2, held(6, 0))]);
        assert_eq!(counts(&findings), [1, 0, 1, 0]);
        assert!(!findings.is_clean());
        assert_eq!(findings.examples.first().unwrap().channel, 1);
    }

    #[test]
    fn rows_beside_the_truth_are_unexpected() {
        let right = row(1, held(5, 0));
        for wrong in [
            row(2, held(5, 0)),
            right,
            ReadState { r#type: ReadStateType::GuildHome.into(), ..right },
            ReadState { user_id: USER + 1, ..row(1, held(5, 0)) },
        ] {
            let findings = findings(&[(1, held(5, 0))], &[right, wrong]);
            assert_eq!(counts(&findings), [1, 0, 0, 1], "{wrong:?}");
            assert!(!findings.is_clean());
        }
    }

    #[test]
    fn a_tombstone_is_not_the_row() {
        let deleted = ReadState { deleted: true, ..row(1, held(5, 0)) };
        assert_eq!(counts(&findings(&[(1, held(5, 0))], &[deleted])), [0, 1, 0, 0]);
    }

    #[test]
    fn users_that_were_not_listed_are_not_clean() {
        let findings = Findings { expected: 1, ..Findings::default() };
        assert!(!findings.is_clean());
    }

    #[test]
    fn the_first_differences_are_kept_whatever_the_order() {
        let mut findings = Findings::default();
        for user in (1..=100).rev() {
            findings.compare(user, std::iter::once((1, held(2, 3))), &[]);
        }
        assert_eq!(findings.missing, 100);
        let users: Vec<_> = findings.examples.iter().map(|example| example.user).collect();
        assert_eq!(users, (1..=EXAMPLES_MAX as u64).collect::<Vec<_>>());
    }
}
