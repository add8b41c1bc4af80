//! The wall clock of the built program jumps an hour ahead, and two back, while it serves and while
//! it is down. Versions are write timestamps: one that fell would be a write that changes nothing.
//!
//! The clock is moved with libfaketime, which is put between the program and the C library. It
//! moves wall time alone: waiting and the lease go by clocks that nobody sets.

use std::{
    collections::BTreeMap,
    env, fs,
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

use readstates::{
    proto::{AckRequest, GetRequest, IncrementRequest, ReadState},
    store::CassandraOptions,
};
use scylla::client::{session::Session, session_builder::SessionBuilder};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{
    keyspace::{self, Keyspace},
    server::{Client, Server},
    serving::{answered, strs},
    tool::skipped,
};

const HOUR_SECONDS: i64 = 3_600;
const US_PER_SECOND: i64 = 1_000_000;
/// What is at least this far from the true time was told by a clock that had jumped.
const SEEN_US: i64 = 50 * 60 * US_PER_SECOND;
/// How long something is waited for that has to come at some time.
const LIMIT: Duration = Duration::from_secs(90);
/// Between two looks at a table.
const PAUSE: Duration = Duration::from_millis(50);

const USERS: u64 = 3;
const CHANNELS: u64 = 2;
/// Enough that some of them are in shards that no other user has moved on.
const NEWCOMERS: u64 = 64;
/// Mentions are above all that is acked, so that their count rises as well.
const MENTIONS_FROM: u64 = 1 << 40;
const ROUNDS: u64 = 3;

type Key = (u64, u64);

/// The wall clock of the programs that are started under it.
struct FakeClock {
    library: String,
    directory: TempDir,
    /// The programs, which may leave shared memory of the library behind.
    pids: Vec<u32>,
}

impl FakeClock {
    /// A clock that is right. `None` where there is no library, which is told.
    fn find() -> Option<Self> {
        let Some(library) = env::var_os("READSTATES_TEST_FAKETIME").map(PathBuf::from) else {
            skipped("no libfaketime: .ci/run fetches it, or set READSTATES_TEST_FAKETIME to it");
            return None;
        };
        assert!(library.is_file(), "READSTATES_TEST_FAKETIME: there is no {library:?}");
        let library = library.into_os_string().into_string().expect("it is text");
        let directory = TempDir::new().expect("there is room for a directory");
        let clock = Self { library, directory, pids: Vec::new() };
        clock.set(0);
        Some(clock)
    }

    fn offset(&self) -> PathBuf {
        self.directory.path().join("offset")
    }

    /// So many seconds off the true time from now on. No reader meets half a file.
    fn set(&self, seconds: i64) {
        let next = self.directory.path().join("next");
        fs::write(&next, format!("{seconds:+}\n")).expect("there is room for a file");
        fs::rename(next, self.offset()).expect("it is the same folder");
    }

    fn start(&mut self, flags: &[String]) -> Server {
        let offset = self.offset();
        let environment = [
            ("LD_PRELOAD", self.library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", offset.to_str().expect("it is text")),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let server = Server::within(&environment, &strs(flags));
        self.pids.push(server.pid());
        server
    }

    /// Starts again what was killed.
    async fn killed_and_restarted(&mut self, server: Server) -> Server {
        let ended = server.kill().await;
        assert_eq!(ended.code, None, "{:#?}", ended.log);
        let server = ended.restart();
        self.pids.push(server.pid());
        server
    }
}

impl Drop for FakeClock {
    fn drop(&mut self) {
        for pid in &self.pids {
            for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
                fs::remove_file(PathBuf::from("/dev/shm").join(name)).ok();
            }
        }
    }
}

/// The true time.
fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before 290,000")
}

/// As much of a row as may only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Row {
    last_acked_id: i64,
    mention_count: i64,
    version: i64,
    /// Of watermark, count and version, as the database tells it.
    written_at: [i64; 3],
}

impl Row {
    /// What the table has to say once it has this state.
    fn of(state: &ReadState) -> Self {
        let version = state.version.cast_signed();
        Self {
            last_acked_id: state.last_acked_id.cast_signed(),
            mention_count: state.mention_count.into(),
            version,
            written_at: [version; 3],
        }
    }

    fn parts(&self) -> [i64; 6] {
        let [acked_at, counted_at, versioned_at] = self.written_at;
        let Self { last_acked_id, mention_count, version, .. } = *self;
        [last_acked_id, mention_count, version, acked_at, counted_at, versioned_at]
    }

    /// Fails where any part of it is below what it was.
    fn has_not_fallen(&self, before: &Self) {
        let rises = self.parts().iter().zip(before.parts()).all(|(now, was)| *now >= was);
        assert!(rises, "{self:?} after {before:?}");
    }
}

/// Callers of some users, and what the tables have to say of them.
struct Callers {
    session: Session,
    keyspace: String,
    /// What the server acknowledged last.
    acknowledged: BTreeMap<Key, ReadState>,
    /// What the table had last.
    seen: BTreeMap<Key, Row>,
    /// The newest message of all channels.
    message: u64,
}

impl Callers {
    async fn of(options: CassandraOptions) -> Self {
        let known = SessionBuilder::new().known_nodes(&options.contact_points);
        Self {
            session: known.build().await.expect("a node"),
            keyspace: options.keyspace,
            acknowledged: BTreeMap::new(),
            seen: BTreeMap::new(),
            message: 1,
        }
    }

    /// Everybody reads on and is mentioned anew; then what is older comes again, and changes
    /// nothing.
    async fn call(&mut self, server: &Server) {
        self.message += 1;
        for key in (1..=USERS).flat_map(|user| (1..=CHANNELS).map(move |channel| (user, channel))) {
            let before = self.acknowledged.get(&key).cloned().unwrap_or_default();
            let mention = MENTIONS_FROM + self.message;
            let acked = ack(server, key, self.message).await;
            let mentioned = increment(server, key, mention).await;
            assert_eq!(mentioned.last_acked_id, self.message, "{key:?}");
            assert_eq!(mentioned.mention_count, before.mention_count + 1, "{key:?}");
            let versions = [before.version, acked.version, mentioned.version];
            assert!(versions.is_sorted_by(|a, b| a < b), "{key:?}: {versions:?}");
            assert_eq!(ack(server, key, self.message - 1).await, mentioned);
            assert_eq!(increment(server, key, mention).await, mentioned);
            self.acknowledged.insert(key, mentioned);
        }
    }

    /// Waits until the tables have what was acknowledged; nothing falls on the way there.
    async fn written(&mut self) {
        let deadline = Instant::now() + LIMIT;
        for (key, state) in &self.acknowledged {
            let wanted = Row::of(state);
            let seen = self.seen.entry(*key).or_default();
            loop {
                let row = row(&self.session, &self.keyspace, *key).await.unwrap_or_default();
                row.has_not_fallen(seen);
                *seen = row;
                if row == wanted {
                    break;
                }
                assert!(Instant::now() < deadline, "{key:?}: {row:?} instead of {wanted:?}");
                sleep(PAUSE).await;
            }
        }
    }

    async fn call_and_see(&mut self, server: &Server) {
        self.call(server).await;
        self.written().await;
    }

    /// Fails where the server has forgotten anything.
    async fn are_remembered(&self, server: &Server) {
        for (&(user_id, channel_id), state) in &self.acknowledged {
            let request = GetRequest { user_id, channel_id, ..GetRequest::default() };
            let call = |mut client: Client| async move { client.get(request).await };
            let answer = answered(call, server).await.expect("the owner answers").into_inner();
            assert_eq!(answer.state.as_ref(), Some(state));
        }
    }

    /// How far the versions are ahead of the true time, at least.
    fn ahead_us(&self) -> i64 {
        let lowest = self.seen.values().map(|row| row.version).min().expect("there are rows");
        lowest - now_us()
    }
}

async fn row(session: &Session, keyspace: &str, (user, channel): Key) -> Option<Row> {
    let select = format!(
        "SELECT CAST(last_acked_id AS bigint), mention_count, version, WRITETIME(last_acked_id), \
         WRITETIME(mention_count), WRITETIME(version) FROM {keyspace}.read_states \
         WHERE user_id = {user} AND type = 1 AND channel_id = {channel}"
    );
    let found = session.query_unpaged(select, ()).await.expect("the node answers");
    let found = found.into_rows_result().expect("it is a question for rows");
    let row = found.maybe_first_row::<(i64, i64, i64, i64, i64, i64)>().expect("none is null");
    row.map(|(last_acked_id, mention_count, version, acked_at, counted_at, versioned_at)| Row {
        last_acked_id,
        mention_count,
        version,
        written_at: [acked_at, counted_at, versioned_at],
    })
}

async fn ack(server: &Server, (user_id, channel_id): Key, message_id: u64) -> ReadState {
    let request = AckRequest { user_id, channel_id, message_id, ..AckRequest::default() };
    let call = |mut client: Client| async move { client.ack(request).await };
    let answer = answered(call, server).await.expect("the owner answers").into_inner();
    answer.state.expect("there is one after an ack")
}

async fn increment(server: &Server, (user_id, channel_id): Key, message_id: u64) -> ReadState {
    let request =
        IncrementRequest { user_id, channel_id, message_id, ..IncrementRequest::default() };
    let call = |mut client: Client| async move { client.increment(request).await };
    let answer = answered(call, server).await.expect("the owner answers").into_inner();
    answer.state.expect("there is one after a mention")
}

/// Fails unless the clock of the server stands before its own start. A shard gives no version below
/// its start; one that was idle since then gives just that, however late it is by now.
async fn stands_before(server: &Server, started_us: i64) {
    let mut lowest = i64::MAX;
    for user in USERS + 1..=USERS + NEWCOMERS {
        lowest = lowest.min(ack(server, (user, 1), 1).await.version.cast_signed());
    }
    assert!(lowest < started_us, "the clock did not go back: {lowest}, started {started_us}");
}

/// How far the clock of the server was ahead when it wrote the first line of its log.
fn first_line_ahead_us(log: &[String], started_us: i64) -> i64 {
    let line: serde_json::Value = serde_json::from_str(&log[0]).expect("a line is JSON");
    let told = line["timestamp"].as_str().expect("a line has its time");
    let told = humantime::parse_rfc3339(told).expect("it is a time");
    let told = told.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros();
    i64::try_from(told).expect("before 290,000") - started_us
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_an_hour_takes_no_row_back() {
    let keyspace = Keyspace::default();
    let Some(mut clock) = FakeClock::find() else { return };
    let Some(options) = keyspace.options().await else { return };
    let mut flags = keyspace::flags(&options);
    flags.extend(["--flush-after", "100ms", "--log-format", "json"].map(str::to_owned));
    let server = clock.start(&flags);
    let started_us = now_us();
    let mut callers = Callers::of(options).await;
    callers.call_and_see(&server).await;
    assert!(callers.ahead_us() < 0, "it was right until here: {}", callers.ahead_us());

    clock.set(HOUR_SECONDS);
    let deadline = Instant::now() + LIMIT;
    while callers.ahead_us() < SEEN_US {
        // Versions follow once the ceiling above them was raised.
        assert!(Instant::now() < deadline, "{} us ahead", callers.ahead_us());
        callers.call_and_see(&server).await;
    }
    println!("an hour ahead: versions are {} s ahead", callers.ahead_us() / US_PER_SECOND);

    clock.set(-HOUR_SECONDS);
    stands_before(&server, started_us).await;
    for _ in 0..ROUNDS {
        callers.call_and_see(&server).await;
    }
    println!("an hour back: versions are {} s ahead", callers.ahead_us() / US_PER_SECOND);
    // Some of it may be in the journal alone when it is killed.
    callers.call(&server).await;
    let (begun, restarted_us) = (Instant::now(), now_us());
    let server = clock.killed_and_restarted(server).await;
    println!("killed, and up again after {:?}", begun.elapsed());
    callers.are_remembered(&server).await;
    callers.written().await;
    for _ in 0..ROUNDS {
        callers.call_and_see(&server).await;
    }
    println!("after the restart: versions are {} s ahead", callers.ahead_us() / US_PER_SECOND);
    assert!(callers.ahead_us() >= SEEN_US);

    clock.set(0);
    callers.call_and_see(&server).await;
    callers.are_remembered(&server).await;
    let ended = server.terminate().await;
    assert_eq!(ended.code, Some(0), "{:#?}", ended.log);
    let ahead_us = first_line_ahead_us(&ended.log, restarted_us);
    assert!(ahead_us <= -SEEN_US, "it started {ahead_us} us ahead");
}
