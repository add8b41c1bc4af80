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
mod retry;
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
    crew::{Crew, progress_bar},
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
    let schedule = args.schedule();
    // Both files are looked at before the first call, so that a slip costs nothing.
    Trace::open(&schedule.trace, args.limit)?;
    let truth = args.verify.as_deref().map(Truth::read).transpose()?;
    let crew = Arc::new(args.crew()?);
    let (played, seen) = if args.verify_only {
        (None, schedule.users()?)
    } else {
        let (played, seen) = play_all(&crew, schedule).await?;
        (Some(played), seen)
    };
    let findings = match truth {
        Some(truth) if !crew.trouble.is_stopped() => {
            crew.bar.set_message("verifying");
            Some(verify(&crew, truth, seen).await)
        }
        _ => None,
    };
    crew.bar.finish_and_clear();
    let (retries, errors) = (crew.trouble.retries(), crew.trouble.errors());
    args.conclude(&Report { played, findings, retries, errors }, crew.trouble.take_failure())
}

async fn play_all(crew: &Arc<Crew>, schedule: Schedule) -> Result<(Played, HashSet<u64>), Failure> {
    crew.bar.set_message("playing");
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

    /// Prints the report; `failure` is what stopped the run before its end.
    fn conclude(&self, report: &Report, failure: Option<Failure>) -> Result<Exit, Failure> {
        if self.json {
            say_json(&report.json())?;
        } else {
            say(&report.text())?;
        }
        match failure {
            Some(failure) => Ok(failure.exit()),
            None if report.is_clean() => Ok(Exit::Done),
            None => Ok(Exit::Failed),
        }
    }
}
