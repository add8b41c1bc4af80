//! `replay`: plays a chat trace against a server and compares what it then holds with the truth.
//!
//! ```text
//! reader thread: trace -> operations -> shuffle -> duplicates -> chunks
//!                                                                  | bounded queue
//! workers, `--concurrency` of them over `--connections`: call, retry, count
//! then, with --verify: every user listed and compared, by as many workers
//! ```

mod crew;
mod feed;
mod input;
mod operation;
mod play;
mod report;
mod schedule;
mod tally;
mod trace;
mod trouble;
mod truth;
mod verify;

pub use input::InputError;

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;

use self::{
    crew::Crew,
    feed::Feed,
    play::{Played, play},
    report::Report,
    schedule::Schedule,
    trace::Trace,
    trouble::Trouble,
    truth::Truth,
    verify::verify,
};
use super::{
    Exit,
    failure::Failure,
    output::{say, say_json},
    progress::progress_bar,
    target::{Client, Target},
};

/// Longest time that one try of a call may take. After it the outcome is open, and a retry of a
/// positioned operation settles it.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// Most calls under way at a time.
const CONCURRENCY_MAX: u64 = 65_536;
/// Most connections.
const CONNECTIONS_MAX: u64 = 1_024;

/// Flags of `replay`.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// The trace: .csv, .csv.gz or .csv.zst with the columns ts_ms, event, user_id, channel_id,
    /// message_id, mentioned_user_ids
    trace: PathBuf,
    /// Calls under way at a time; 1 keeps the order of the trace
    #[arg(long, value_name = "N", default_value_t = 64,
        value_parser = clap::value_parser!(u64).range(1..=CONCURRENCY_MAX))]
    concurrency: u64,
    /// Connections to spread them over
    #[arg(long, value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    connections: u64,
    /// Play all acks and fan-outs in an order drawn by this seed
    #[arg(long, value_name = "SEED")]
    shuffle: Option<u64>,
    /// Send each operation again with this probability, at some later moment
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = probability)]
    duplicate: f64,
    /// Compare every row with this truth afterwards: .csv, .csv.gz or .csv.zst with the columns
    /// user_id, channel_id, last_acked_id, mention_count
    #[arg(long, value_name = "TRUTH")]
    verify: Option<PathBuf>,
    /// Play nothing, only compare
    #[arg(long, requires = "verify")]
    verify_only: bool,
    /// Play only the first messages; no truth fits that
    #[arg(long, value_name = "N", conflicts_with = "verify")]
    limit: Option<u64>,
    /// How long a call is tried again when the server is away or asks for patience
    #[arg(long, value_name = "DURATION", default_value = "60s",
        value_parser = humantime::parse_duration)]
    retry_for: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "a probability is a number from 0 to 1".to_owned())
}

/// Plays, verifies and reports.
pub async fn replay(args: ReplayArgs) -> Result<Exit, Failure> {
    let (report, stopped_by) = carry_out(&args, Arc::new(args.crew()?)).await?;
    if args.json {
        say_json(&report.json())?;
    } else {
        say(&report.text())?;
    }
    Ok(match stopped_by {
        Some(failure) => failure.exit(),
        None if report.is_clean() => Exit::Done,
        None => Exit::Failed,
    })
}

/// Plays and verifies; with the report comes what stopped the run before its end.
async fn carry_out(
    args: &ReplayArgs,
    crew: Arc<Crew>,
) -> Result<(Report, Option<Failure>), Failure> {
    let schedule = args.schedule();
    // Both files are looked at before the first call, so that a slip costs nothing.
    Trace::open(&schedule.trace, args.limit)?;
    let truth = args.verify.as_deref().map(Truth::read).transpose()?;
    let (played, seen) = if args.verify_only {
        (None, schedule.users()?)
    } else {
        let (played, seen) = play_all(&crew, schedule).await?;
        (Some(played), seen)
    };
    let mut findings = None;
    if let Some(truth) = truth.filter(|_| !crew.trouble.is_stopped()) {
        findings = Some(verify(&crew, truth, seen).await);
    }
    crew.bar.finish_and_clear();
    let (retries, errors) = (crew.trouble.retries(), crew.trouble.errors());
    Ok((Report { played, findings, retries, errors }, crew.trouble.take_failure()))
}

async fn play_all(crew: &Arc<Crew>, schedule: Schedule) -> Result<(Played, HashSet<u64>), Failure> {
    let (feed, reader) = Feed::start(schedule, crew.bar.clone());
    let (tally, elapsed) = play(crew, feed).await;
    let seen = reader.seen().await?;
    Ok((Played { messages: seen.messages, tally, elapsed }, seen.users))
}

impl ReplayArgs {
    fn schedule(&self) -> Schedule {
        Schedule {
            trace: self.trace.clone(),
            limit: self.limit,
            shuffle: self.shuffle,
            duplicate: self.duplicate,
        }
    }

    fn crew(&self) -> Result<Crew, Failure> {
        // One channel each: a clone would share the connection.
        let connect = |_| Ok(Client::new(self.target.connect_lazily(CALL_DEADLINE)?));
        let bar = progress_bar();
        Ok(Crew {
            clients: (0..self.connections).map(connect).collect::<Result<_, Failure>>()?,
            concurrency: usize::try_from(self.concurrency).unwrap_or(usize::MAX),
            retry_for: self.retry_for,
            trouble: Trouble::new(bar.clone()),
            bar,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;
    use tempfile::TempDir;
    use tonic::Status;

    use super::*;
    use crate::cli::fake::Fake;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        args: ReplayArgs,
    }

    fn parse(flags: &[&str]) -> Result<ReplayArgs, clap::Error> {
        let words = ["replay"].iter().chain(flags);
        CommandLine::try_parse_from(words).map(|line| line.args)
    }

    /// Four users take turns in three rooms; each message mentions the one whose turn is next.
    struct Chat {
        directory: TempDir,
        messages: u64,
    }

    impl Chat {
        fn new(messages: u64) -> Self {
            let chat = Self { directory: tempfile::tempdir().unwrap(), messages };
            let trace = (1..=messages).map(|id| {
                let (author, room, mentioned) = chat.turn(id);
                format!("{id},message,{author},{room},{id},{mentioned}\n")
            });
            let head = "ts_ms,event,user_id,channel_id,message_id,mentioned_user_ids\n".to_owned();
            std::fs::write(chat.trace(), head + &trace.collect::<String>()).unwrap();
            std::fs::write(chat.truth(), chat.rows()).unwrap();
            chat
        }

        fn turn(&self, id: u64) -> (u64, u64, u64) {
            (id % 4 + 1, id % 3 + 1, (id + 1) % 4 + 1)
        }

        fn trace(&self) -> PathBuf {
            self.directory.path().join("trace.csv")
        }

        fn truth(&self) -> PathBuf {
            self.directory.path().join("truth.csv")
        }

        fn rows(&self) -> String {
            let mut rows = "user_id,channel_id,last_acked_id,mention_count\n".to_owned();
            for (user, room) in (1..=4).flat_map(|user| (1..=3).map(move |room| (user, room))) {
                let turns = || (1..=self.messages).map(|id| (id, self.turn(id)));
                let own = turns().filter(|(_, (author, at, _))| (*author, *at) == (user, room));
                let acked = own.map(|(id, _)| id).max().unwrap_or(0);
                let waiting = turns().filter(|(id, (_, at, mentioned))| {
                    *id > acked && (*mentioned, *at) == (user, room)
                });
                rows += &format!("{user},{room},{acked},{}\n", waiting.count());
            }
            rows
        }

        /// The flags of a run of this chat against the server at `url`.
        fn flags(&self, url: &str, flags: &[&str]) -> ReplayArgs {
            let path = |path: &Path| path.to_str().unwrap().to_owned();
            let (trace, truth) = (path(&self.trace()), path(&self.truth()));
            let own = [trace.as_str(), "--target", url, "--verify", &truth];
            parse(&[&own[..], flags].concat()).unwrap()
        }

        async fn replay(&self, url: &str, flags: &[&str]) -> (Report, Option<Failure>) {
            let args = self.flags(url, flags);
            carry_out(&args, Arc::new(args.crew().unwrap())).await.unwrap()
        }
    }

    #[tokio::test]
    async fn what_was_played_is_what_is_verified() {
        let (chat, fake) = (Chat::new(500), Fake::default());
        let server = fake.start("127.0.0.1:0");
        let url = format!("http://{}", server.address);
        for flags in [&[][..], &["--shuffle", "3", "--duplicate", "0.5"], &["--verify-only"]] {
            let (report, stopped_by) = chat.replay(&url, flags).await;
            assert!(stopped_by.is_none() && report.is_clean(), "{flags:?}: {}", report.text());
            assert_eq!(report.findings.unwrap().equal, 12);
        }
    }

    #[tokio::test]
    async fn counts_are_those_of_the_trace() {
        let (chat, fake) = (Chat::new(100), Fake::default());
        let server = fake.start("127.0.0.1:0");
        let url = format!("http://{}", server.address);
        let (report, _) = chat.replay(&url, &["--duplicate", "1", "--concurrency", "3"]).await;
        let Played { messages, tally, .. } = report.played.unwrap();
        assert_eq!((messages, tally.acks, tally.fan_outs), (100, 100, 100));
        assert_eq!((tally.mentions, tally.duplicates), (100, 200));
        let pages = report.findings.unwrap().latency.count();
        assert_eq!(fake.calls(), 400 + pages);
        assert_eq!(report.retries + report.errors, 0);
    }

    #[tokio::test]
    async fn rows_lost_and_rows_made_up_are_found() {
        let (chat, fake) = (Chat::new(500), Fake::default());
        let server = fake.start("127.0.0.1:0");
        let url = format!("http://{}", server.address);
        chat.replay(&url, &[]).await;
        fake.lose(2, 3);
        fake.plant(1, 99);
        let (report, _) = chat.replay(&url, &["--verify-only"]).await;
        let findings = report.findings.as_ref().unwrap();
        assert_eq!((findings.equal, findings.missing, findings.unexpected), (11, 1, 1));
        assert!(!report.is_clean());
    }

    #[tokio::test]
    async fn passing_failures_are_retried_and_nothing_is_lost() {
        let (chat, fake) = (Chat::new(200), Fake::default());
        let server = fake.start("127.0.0.1:0");
        fake.fail((0..30).map(|_| Status::unavailable("draining")).collect());
        let (report, _) = chat.replay(&format!("http://{}", server.address), &[]).await;
        assert!(report.is_clean(), "{}", report.text());
        assert_eq!(report.retries, 30);
    }

    #[tokio::test]
    async fn a_server_killed_in_the_middle_and_started_again_loses_nothing() {
        let (chat, fake) = (Chat::new(1_000), Fake::default());
        let half_way = fake.reaches(1_000);
        let server = fake.start("127.0.0.1:0");
        let address = server.address.to_string();
        let args = chat.flags(&format!("http://{address}"), &[]);
        let crew = Arc::new(args.crew().unwrap());
        let restart = async {
            half_way.await;
            drop(server);
            while crew.trouble.retries() == 0 {
                tokio::task::yield_now().await;
            }
            fake.start(&address)
        };
        let (outcome, _server) = tokio::join!(carry_out(&args, crew.clone()), restart);
        let (report, stopped_by) = outcome.unwrap();
        assert!(stopped_by.is_none() && report.is_clean(), "{}", report.text());
    }

    #[tokio::test]
    async fn a_refusal_fails_the_run_but_the_rest_is_played_and_verified() {
        let (chat, fake) = (Chat::new(200), Fake::default());
        let server = fake.start("127.0.0.1:0");
        fake.fail(vec![Status::invalid_argument("no")]);
        let (report, stopped_by) = chat.replay(&format!("http://{}", server.address), &[]).await;
        assert!(stopped_by.is_none() && !report.is_clean());
        assert_eq!((report.errors, report.retries), (1, 0));
        assert_eq!(report.played.unwrap().tally.operations(), 399);
        assert!(report.findings.is_some());
    }

    #[tokio::test]
    async fn a_server_that_stays_away_ends_the_run() {
        let (chat, fake) = (Chat::new(200), Fake::default());
        let server = fake.start("127.0.0.1:0");
        let url = format!("http://{}", server.address);
        drop(server);
        let (report, stopped_by) = chat.replay(&url, &["--retry-for", "0s"]).await;
        assert_eq!(stopped_by.unwrap().exit(), Exit::Unavailable);
        assert!(report.findings.is_none() && !report.is_clean());
    }

    #[tokio::test]
    async fn a_trace_that_breaks_off_fails_the_run() {
        let (chat, fake) = (Chat::new(200), Fake::default());
        let server = fake.start("127.0.0.1:0");
        let text = std::fs::read_to_string(chat.trace()).unwrap();
        std::fs::write(chat.trace(), text + "1,message,2\n").unwrap();
        let url = format!("http://{}", server.address);
        let args = parse(&[chat.trace().to_str().unwrap(), "--target", &url]).unwrap();
        let crew = Arc::new(args.crew().unwrap());
        let failure = carry_out(&args, crew).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Failed);
        assert!(failure.to_string().contains("trace.csv:202: "), "{failure}");
    }

    #[tokio::test]
    async fn an_absent_file_is_bad_usage() {
        let args = parse(&["/nowhere/trace.csv"]).unwrap();
        let crew = Arc::new(args.crew().unwrap());
        assert_eq!(carry_out(&args, crew).await.unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        for flags in [
            &[][..],
            &["t.csv", "--limit", "5", "--verify", "v.csv"],
            &["t.csv", "--verify-only"],
            &["t.csv", "--duplicate", "1.1"],
            &["t.csv", "--duplicate", "NaN"],
            &["t.csv", "--concurrency", "0"],
            &["t.csv", "--connections", "0"],
            &["t.csv", "--retry-for", "soon"],
        ] {
            assert!(parse(flags).is_err(), "{flags:?}");
        }
        assert!(parse(&["t.csv", "--limit", "5", "--duplicate", "1"]).is_ok());
    }
}
