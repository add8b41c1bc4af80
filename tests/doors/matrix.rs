//! Each method with each kind of credentials.

use prost::Message as _;
use readstates::proto;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    credential::Credential,
    house::{CALLERS, House, file},
    methods::{Method, guarded, list, seed},
};

const ADMIN: Credential = Credential::TokenOf("admin");
const ROLES: [&str; 4] = ["reader", "writer", "fanout", "admin"];

/// Users of a method: one for each role that calls it.
fn user(method: usize, role: usize) -> u64 {
    (method * ROLES.len() + role + 1) as u64
}

/// What nobody is let in with, and a word of what is said of it.
const WRONG: [(Credential, &str); 8] = [
    (Credential::Nothing, "asks who calls"),
    (Credential::Header(""), "not of the form"),
    (Credential::Header("Basic cmVhZGVyOnRva2VuLW9mLXJlYWRlcg=="), "not of the form"),
    (Credential::Header("Bearer short"), "not of the form"),
    (Credential::Header("readstates_token-of-admin"), "not of the form"),
    (Credential::Header("Bearer readstates_token-of-admi"), "not valid"),
    (Credential::TokenOf("nobody"), "not valid"),
    (Credential::TokenOf("expired"), "have expired"),
];

#[track_caller]
fn assert_refused<T>(called: Result<T, Status>, code: Code, reason: &str, words: &str, what: &str) {
    let Err(status) = called else { panic!("{what}: it was let in") };
    assert_eq!(status.code(), code, "{what}: {status}");
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("{what}: no ErrorInfo"));
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "readstates"), "{what}");
    assert!(status.message().contains(words), "{what}: {}", status.message());
    assert!(!status.message().contains("token-of"), "{what}: {}", status.message());
}

impl House {
    /// All users of the matrix get a state.
    async fn seed(&self, users: u64) {
        let operations = (1..=users).flat_map(seed).collect();
        let message = proto::ApplyRequest { operations }.encode_to_vec();
        let applied = self.call("/readstates.v1.ReadStatesService/Apply", &ADMIN, message).await;
        let applied =
            proto::ApplyResponse::decode(&*applied.expect("it applies")).expect("an answer");
        assert!(applied.results.iter().all(|result| result.code == 0 && result.changed));
    }

    /// The states of a user, as the wire has them.
    async fn states(&self, user: u64) -> Vec<u8> {
        let path = "/readstates.v1.ReadStatesService/List";
        self.call(path, &ADMIN, list(user)).await.expect("it lists")
    }

    /// As [`Self::states`], without the version to resume from: whoever watches may raise that.
    async fn rows(&self, user: u64) -> Vec<proto::ReadState> {
        proto::ListResponse::decode(&*self.states(user).await).expect("an answer").states
    }

    async fn all_states(&self, users: u64) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for user in 1..=users {
            all.push(self.states(user).await);
        }
        all
    }

    /// What shows that anything behind the doors was touched: looked at, loaded or changed.
    async fn traces(&self) -> Vec<String> {
        const TRACES: [&str; 8] = [
            "readstates_cache_",
            "readstates_coalesced_loads_total",
            "readstates_dirty_entries",
            "readstates_dirty_refused_total",
            "readstates_flush_rows_total",
            "readstates_store_operation_seconds_count",
            "readstates_watch_",
            "readstates_watched_users",
        ];
        let metrics = self.get("/metrics").await;
        let lines =
            metrics.lines().filter(|line| TRACES.iter().any(|trace| line.starts_with(trace)));
        lines.map(str::to_owned).collect()
    }

    async fn make(
        &self,
        method: &Method,
        credential: &Credential,
        user: u64,
    ) -> Result<Vec<u8>, Status> {
        self.call(method.path, credential, (method.message)(user)).await
    }
}

/// A house whose every user has a state, with all methods.
async fn furnished() -> (House, Vec<Method>, u64) {
    let (house, methods) = (House::open().await, guarded());
    let users = user(methods.len(), 0) - 1;
    house.seed(users).await;
    (house, methods, users)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_nobody_calls_nothing_and_changes_nothing() {
    let (house, methods, users) = furnished().await;
    let (states, traces) = (house.all_states(users).await, house.traces().await);
    let mut expected = [0.0; 2];
    // What is listed above leaves traces, but not any more.
    let mut before = house.traces().await;
    assert_eq!(traces, before, "something happens by itself");
    for (place, method) in methods.iter().enumerate() {
        for (credential, words) in WRONG {
            let what = format!("{} with {credential:?}", method.path);
            let called = house.make(method, &credential, user(place, 0)).await;
            assert_refused(called, Code::Unauthenticated, "NO_CREDENTIALS", words, &what);
            let after = house.traces().await;
            assert_eq!(after, before, "{what}");
            before = after;
            expected[usize::from(words.contains("expired"))] += 1.0;
        }
    }
    assert_eq!(house.all_states(users).await, states);
    for (reason, expected) in ["no_credentials", "expired"].into_iter().zip(expected) {
        let series = format!("readstates_requests_denied_total{{reason=\"{reason}\"}}");
        assert_eq!(house.metric(&series).await, expected, "{reason}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_another_role_calls_nothing_and_changes_nothing() {
    let (house, methods, users) = furnished().await;
    let states = house.all_states(users).await;
    let before = house.traces().await;
    let mut expected = 0.0;
    for (place, method) in methods.iter().enumerate() {
        let needed = if method.roles.is_empty() { vec!["admin"] } else { method.roles.to_vec() };
        for role in ROLES.into_iter().filter(|role| *role != "admin" && !needed.contains(role)) {
            let what = format!("{} as {role}", method.path);
            let called = house.make(method, &Credential::TokenOf(role), user(place, 0)).await;
            let words = format!("needs the role {}", needed.join(" or "));
            assert_refused(called, Code::PermissionDenied, "ROLE", &words, &what);
            assert_eq!(house.traces().await, before, "{what}");
            expected += 1.0;
        }
    }
    assert_eq!(house.all_states(users).await, states);
    let series = "readstates_requests_denied_total{reason=\"role\"}";
    assert_eq!(house.metric(series).await, expected);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_removed_calls_nothing_and_changes_nothing() {
    let (mut house, methods, users) = furnished().await;
    let leaver = Credential::TokenOf("leaver");
    // A stream that is left early would go on leaving traces.
    for method in methods.iter().filter(|method| method.path.contains("Get")) {
        let called = house.make(method, &leaver, user(0, 0)).await;
        called.unwrap_or_else(|status| panic!("{} was let in before: {status}", method.path));
    }
    let left: Vec<_> = CALLERS.into_iter().filter(|(name, _)| *name != "leaver").collect();
    house.rewrite(&file(&left)).await;
    let states = house.all_states(users).await;
    let before = house.traces().await;
    for (place, method) in methods.iter().enumerate() {
        let called = house.make(method, &leaver, user(place, 0)).await;
        assert_refused(called, Code::Unauthenticated, "NO_CREDENTIALS", "not valid", method.path);
        assert_eq!(house.traces().await, before, "{}", method.path);
    }
    assert_eq!(house.all_states(users).await, states);
    house.rewrite(&file(&CALLERS)).await;
    for (place, method) in methods.iter().enumerate() {
        let called = house.make(method, &leaver, user(place, 0)).await;
        called.unwrap_or_else(|status| panic!("{} is let in again: {status}", method.path));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_a_role_of_a_method_calls_it() {
    let (house, methods, _) = furnished().await;
    for (place, method) in methods.iter().enumerate() {
        for (number, role) in ROLES.into_iter().enumerate() {
            if role != "admin" && !method.roles.contains(&role) {
                continue;
            }
            let (user, what) = (user(place, number), format!("{} as {role}", method.path));
            let before = house.rows(user).await;
            let called = house.make(method, &Credential::TokenOf(role), user).await;
            called.unwrap_or_else(|status| panic!("{what}: {status}"));
            assert_eq!(house.rows(user).await != before, method.changes, "{what}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn what_is_no_method_is_told_to_callers_only() {
    let house = House::open().await;
    let path = "/readstates.v1.ReadStatesService/GetEverything";
    let called = house.call(path, &Credential::Nothing, Vec::new()).await;
    assert_refused(called, Code::Unauthenticated, "NO_CREDENTIALS", "asks who calls", path);
    for role in ROLES {
        let called = house.call(path, &Credential::TokenOf(role), Vec::new()).await;
        assert_refused(called, Code::Unimplemented, "UNIMPLEMENTED", "no such method", path);
    }
    house.close().await;
}
