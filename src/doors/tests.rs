//! Doors over a file that a test writes, at a time that it sets.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use super::*;
use crate::{clock::ManualTime, metrics::Metrics};

const ACK: &str = "/readstates.v1.ReadStatesService/Ack";
const GET: &str = "/readstates.v1.ReadStatesService/Get";
const WATCH: &str = "/readstates.v1.ReadStatesService/Watch";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// When every scene begins: 2027-01-01T00:00:00Z, in seconds since the Unix epoch.
const START: u64 = 1_798_761_600;
/// An hour later.
const EXPIRES: &str = "expires = 2027-01-01T01:00:00Z";
const HOUR: u64 = 3_600;

/// The token of a caller.
fn token(name: &str) -> String {
    format!("the-token-of-{name}")
}

fn header(name: &str) -> Vec<u8> {
    format!("Bearer {}", token(name)).into_bytes()
}

/// A caller of the file, known by its token.
fn entry(name: &str, roles: &str, rest: &str) -> String {
    let hex = Digest::of(token(name).as_bytes()).hex();
    format!("[[caller]]\nname = {name:?}\nroles = {roles}\ntoken_sha256 = \"{hex}\"\n{rest}\n")
}

struct Scene {
    _folder: TempDir,
    path: PathBuf,
    time: Arc<ManualTime>,
    metrics: Metrics,
    doors: Doors,
    keeper: Keeper,
}

impl Scene {
    fn new(file: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("callers.toml");
        fs::write(&path, file).expect("it is written");
        let time = ManualTime::starting_at(START * 1_000_000);
        let metrics = Metrics::new().expect("names are valid");
        let clock = Clock::manual(Arc::clone(&time));
        let opened = Doors::open(&path, clock, metrics.doors.clone());
        let (doors, keeper) = opened.expect("the file is valid");
        Self { _folder: folder, path, time, metrics, doors, keeper }
    }

    /// One of each kind.
    fn usual() -> Self {
        let peer = "san = [\"spiffe://chat/ns/gateway\", \"dns:gateway.internal\"]";
        let file = [
            entry("reader", "[\"reader\"]", ""),
            entry("gateway", "[\"reader\", \"writer\"]", peer),
            entry("passing", "\"writer\"", EXPIRES),
        ];
        Self::new(&file.concat())
    }

    async fn rewrite(&mut self, file: &str) {
        fs::write(&self.path, file).expect("it is written");
        self.keeper.look().await;
    }

    fn admit(&self, path: &str, name: &str) -> Result<Option<Box<Pass>>, Denied> {
        let header = header(name);
        let shown = Shown { authorization: Some(&header), peer: None };
        self.doors.admit(path, shown).map_err(|denial| denial.denied)
    }

    #[track_caller]
    fn refused(&self, path: &str, name: &str, expected: Denied) {
        assert_eq!(self.admit(path, name).err(), Some(expected), "{name} at {path}");
    }

    #[track_caller]
    fn admitted(&self, path: &str, name: &str) {
        assert_eq!(self.admit(path, name).err(), None, "{name} at {path}");
    }

    /// Denied for want of credentials, by the time, and for another role.
    fn denied(&self) -> [u64; 3] {
        let counted = &self.metrics.doors;
        [&counted.no_credentials, &counted.expired, &counted.role].map(|counter| counter.get())
    }
}

fn needs(role: Role) -> Denied {
    Denied::Role(Roles::of(&[role]))
}

#[test]
fn a_caller_calls_what_its_roles_allow() {
    let scene = Scene::usual();
    scene.admitted(GET, "reader");
    scene.refused(ACK, "reader", needs(Role::Writer));
    scene.admitted(GET, "gateway");
    scene.admitted(ACK, "gateway");
    scene.refused(GET, "passing", needs(Role::Reader));
    assert_eq!(scene.denied(), [0, 0, 2]);
}

#[test]
fn who_shows_nothing_or_something_else_is_nobody() {
    let scene = Scene::usual();
    let nothing = |path| scene.doors.admit(path, Shown::default()).err().map(|d| d.denied);
    assert_eq!(nothing(GET), Some(Denied::NoCredentials));
    assert_eq!(nothing("/no/Such"), Some(Denied::NoCredentials));
    assert_eq!(nothing(HEALTH), None);
    scene.refused(GET, "stranger", Denied::Unknown);
    let shown = Shown { authorization: Some(b"Basic xyz"), peer: None };
    let denial = scene.doors.admit(GET, shown).err().expect("it is refused");
    assert_eq!((denial.denied, denial.caller), (Denied::Malformed, None));
    assert_eq!(scene.denied(), [4, 0, 0]);
}

#[test]
fn any_caller_may_reflect_and_what_there_is_not_nobody_may_call() {
    let scene = Scene::usual();
    scene.admitted(REFLECTION, "passing");
    scene.refused(REFLECTION, "stranger", Denied::Unknown);
    scene.refused("/readstates.v1.ReadStatesService/Nothing", "gateway", Denied::NoMethod);
    scene.refused("/readstates.v1.ReadStatesService/Nothing", "stranger", Denied::Unknown);
}

#[test]
fn a_time_that_is_over_is_told_to_its_caller_only() {
    let scene = Scene::usual();
    scene.time.advance_ms((HOUR * 1_000) - 1);
    scene.admitted(ACK, "passing");
    scene.time.advance_ms(1);
    scene.refused(ACK, "passing", Denied::Expired);
    scene.refused(GET, "passing", Denied::Expired);
    scene.admitted(ACK, "gateway");
    assert_eq!(scene.denied(), [0, 2, 0]);
}

#[test]
fn a_certificate_is_known_by_any_of_its_names_and_a_token_goes_before_it() {
    let scene = Scene::usual();
    let ask = |path, header: Option<&[u8]>, peer: PeerIdentity| {
        let shown = Shown { authorization: header, peer: Some(&Arc::new(peer)) };
        scene.doors.admit(path, shown).err().map(|denial| denial.denied)
    };
    let spiffe = || PeerIdentity::new(["spiffe://chat/ns/gateway"], []);
    assert_eq!(ask(ACK, None, spiffe()), None);
    let host = PeerIdentity::new(["spiffe://chat/other"], ["x", "GATEWAY.internal"]);
    assert_eq!(ask(ACK, None, host), None);
    let stranger = || PeerIdentity::new(["spiffe://chat/ns/gateway2"], ["internal"]);
    assert_eq!(ask(ACK, None, stranger()), Some(Denied::Unknown));
    assert_eq!(ask(ACK, None, PeerIdentity::default()), Some(Denied::Unknown));
    assert_eq!(ask(ACK, Some(&header("reader")), spiffe()), Some(needs(Role::Writer)));
    assert_eq!(ask(ACK, Some(&header("nobody")), spiffe()), Some(Denied::Unknown));
    assert_eq!(ask(ACK, Some(&header("gateway")), stranger()), None);
}

#[tokio::test]
async fn what_the_file_says_anew_is_in_force_at_once() {
    let mut scene = Scene::usual();
    let file = [entry("reader", "[\"writer\"]", ""), entry("new", "[\"admin\"]", "")];
    scene.rewrite(&file.concat()).await;
    scene.refused(ACK, "gateway", Denied::Unknown);
    scene.refused(GET, "reader", needs(Role::Reader));
    scene.admitted(ACK, "reader");
    scene.admitted(GET, "new");
    assert_eq!(scene.metrics.doors.callers.get(), 2);
    assert_eq!(scene.metrics.doors.reload_failures.get(), 0);
}

#[tokio::test]
async fn a_file_that_is_wrong_changes_nothing_and_is_counted_as_long_as_it_is() {
    let mut scene = Scene::usual();
    let good = fs::read(&scene.path).expect("it is there");
    for (looks, bad) in (1..).zip(["", "[[caller]]\nname = 1\n", "caller =", "\u{0}"]) {
        scene.rewrite(bad).await;
        assert_eq!(scene.metrics.doors.reload_failures.get(), looks);
        scene.admitted(ACK, "gateway");
    }
    fs::remove_file(&scene.path).expect("it is removed");
    scene.keeper.look().await;
    scene.keeper.look().await;
    assert_eq!(scene.metrics.doors.reload_failures.get(), 6);
    scene.admitted(ACK, "gateway");
    scene.time.advance_ms(5_000);
    scene.rewrite(str::from_utf8(&good).expect("text")).await;
    scene.admitted(ACK, "gateway");
    assert_eq!(scene.metrics.doors.reload_failures.get(), 6);
    assert_eq!(scene.metrics.doors.loaded_at_seconds.get(), (START + 5) as f64);
}

#[tokio::test]
async fn a_pass_ends_with_its_caller_and_with_its_role() {
    let mut scene = Scene::usual();
    let admit = |name: &str| scene.admit(WATCH, name).expect("it may").expect("it is a stream");
    let (mut reader, mut gateway) = (admit("reader"), admit("gateway"));
    assert!(scene.admit(GET, "reader").expect("it may").is_none(), "it has an end of its own");
    let outdated = reader.outdated();
    let file = [entry("gateway", "[\"reader\"]", ""), entry("reader", "[\"fanout\"]", "")];
    scene.rewrite(&file.concat()).await;
    outdated.await;
    let denial = reader.check().expect_err("it is no reader any more");
    assert_eq!((denial.denied, denial.caller.as_deref()), (needs(Role::Reader), Some("reader")));
    gateway.check().expect("it is a reader");
    scene.rewrite(&entry("reader", "[\"reader\"]", "")).await;
    let denial = gateway.check().expect_err("it is nobody any more");
    assert_eq!((denial.denied, denial.caller), (Denied::Unknown, None));
    assert_eq!(scene.denied(), [1, 0, 1]);
}

#[tokio::test]
async fn a_pass_ends_when_the_time_of_its_caller_is_over() {
    let mut scene = Scene::new(&entry("passing", "[\"reader\"]", EXPIRES));
    let mut pass = scene.admit(WATCH, "passing").expect("it may").expect("it is a stream");
    let outdated = pass.outdated();
    scene.time.advance_ms(HOUR * 1_000);
    pass.check().expect("nobody has looked at the time");
    scene.keeper.look().await;
    outdated.await;
    assert_eq!(pass.check().expect_err("it is over").denied, Denied::Expired);
    assert_eq!(scene.metrics.doors.expired_callers.get(), 1);
}

#[tokio::test]
async fn who_neither_came_nor_went_outdates_no_pass() {
    let mut scene = Scene::usual();
    let before = *scene.doors.generations().borrow();
    scene.keeper.look().await;
    assert_eq!(*scene.doors.generations().borrow(), before);
}

#[test]
fn a_first_file_that_is_wrong_opens_nothing() {
    let metrics = Metrics::new().expect("names are valid");
    let open = |path: &Path| Doors::open(path, Clock::system(), metrics.doors.clone());
    let refused = open(Path::new("no/such.toml")).err().expect("it is not there");
    assert!(refused.to_string().contains("the callers file no/such.toml is refused:\n"));
    assert!(refused.to_string().contains("it cannot be read"), "{refused}");
}

#[test]
fn nothing_secret_is_shown() {
    let (secret, peer) = (header("gateway"), Arc::new(PeerIdentity::default()));
    let shown = Shown { authorization: Some(&secret), peer: Some(&peer) };
    assert!(!format!("{shown:?}").contains("the-token"), "{shown:?}");
    let scene = Scene::usual();
    let hex = Digest::of(token("gateway").as_bytes()).hex();
    let callers = format!("{:?}", scene.doors.callers());
    assert!(callers.contains("gateway") && !callers.contains(&hex), "{callers}");
    for denied in [Denied::NoCredentials, Denied::Malformed, Denied::Unknown, Denied::Expired] {
        assert!(!denied.to_string().contains("the-token"));
    }
}
