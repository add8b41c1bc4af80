//! The flags of `bench`, and the plan that they make.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    chat,
    ids::THREADS_MAX,
    keys::KEYS_MAX,
    plan::{Distribution, Mix, Plan},
};
use crate::cli::{failure::Failure, target::Target};

/// Most calls under way at a time.
const CONCURRENCY_MAX: u64 = 65_536;
/// Calls under way at a time in a closed loop ...
const CONCURRENCY_CLOSED: u64 = 64;
/// ... and in an open one, at most, unless the flags say otherwise.
const CONCURRENCY_OPEN: u64 = 1_024;
/// Most connections.
const CONNECTIONS_MAX: u64 = 1_024;
/// Most messages under way on one stream.
const PIPELINE_MAX: u64 = 4_096;
/// Most operations in a call, and members of a fan-out: more are refused by the contract.
const ITEMS_MAX: u64 = 10_000;
/// Most calls a second.
const RATE_MAX: f64 = 100_000_000.0;
/// Longest run, as long as its histograms and moments are exact.
const TIME_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Shortest window: shorter ones would be blurred by the timers that end them.
const WINDOW_MIN: Duration = Duration::from_millis(100);
/// Most windows of a run, which all stand in the report.
const WINDOWS_MAX: u128 = 100_000;
/// Largest skew.
const SKEW_MAX: f64 = 10.0;

/// Flags of `bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What is called. All but signin and health write: never do it to a server that others use
    #[arg(long, value_enum, default_value = "ack")]
    mix: Mix,
    /// Calls a second, evenly, whatever the server does (an open loop); without it every caller
    /// calls again as soon as it is answered (a closed one)
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// Calls under way at a time: as many in a closed loop, at most in an open one
    /// [default: 64, 1024]
    #[arg(long, value_name = "N", conflicts_with = "stream",
        value_parser = clap::value_parser!(u64).range(1..=CONCURRENCY_MAX))]
    concurrency: Option<u64>,
    /// Connections to spread them over
    #[arg(long, value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    connections: u64,
    /// Threads that make calls, each with its share of rate, callers and connections
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=THREADS_MAX as u64))]
    threads: u64,
    /// Operations in a call, of mixes ack, increment and chat: more than one are an Apply
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..=ITEMS_MAX))]
    batch: u64,
    /// Send them over ApplyStream, one stream on each connection
    #[arg(long)]
    stream: bool,
    /// Messages under way on each stream
    #[arg(long, value_name = "N", default_value_t = 32, requires = "stream",
        value_parser = clap::value_parser!(u64).range(1..=PIPELINE_MAX))]
    pipeline: u64,
    /// Users there are, numbered from 1
    #[arg(long, value_name = "N", default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX))]
    users: u64,
    /// Channels that each of them is in, numbered from 1
    #[arg(long, value_name = "N", default_value_t = 100,
        value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX))]
    channels: u64,
    /// Users that a call of mix fanout mentions
    #[arg(long, value_name = "N", default_value_t = 1_000,
        value_parser = clap::value_parser!(u64).range(1..=ITEMS_MAX))]
    members: u64,
    /// How keys are drawn; the default is zipf for mix chat, and uniform for others
    #[arg(long, value_enum)]
    distribution: Option<Distribution>,
    /// How much more the first keys are drawn than others, where that is zipf
    #[arg(long, value_name = "S", default_value_t = chat::SKEW, value_parser = skew)]
    skew: f64,
    /// Draws the same keys again
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Make every key resident first
    #[arg(long)]
    fill: bool,
    /// How long to make calls before they are measured
    #[arg(long, value_name = "DURATION", default_value = "2s",
        value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "10s",
        value_parser = humantime::parse_duration)]
    duration: Duration,
    /// How long each part is that is reported with percentiles of its own
    #[arg(long, value_name = "DURATION", default_value = "1s",
        value_parser = humantime::parse_duration)]
    window: Duration,
    /// The server's process, on this machine: tell what it uses
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Draw latency over time into this file
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Make no load: tell two runs from each other that were kept with --json
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"])]
    compare: Option<Vec<PathBuf>>,
    #[command(flatten)]
    target: Target,
}

/// What is to be done beside the load itself.
#[derive(Clone, Debug)]
pub struct Around {
    /// Make every key resident first.
    pub fill: bool,
    /// The server's process.
    pub pid: Option<u32>,
    /// Print JSON.
    pub json: bool,
    /// Where the picture goes.
    pub plot: Option<PathBuf>,
    /// Reports to compare, instead of a run.
    pub compare: Option<Vec<PathBuf>>,
    /// The server.
    pub target: Target,
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= RATE_MAX);
    number.ok_or_else(|| format!("a rate is a number above 0, up to {RATE_MAX}"))
}

fn skew(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|skew| (0.0..=SKEW_MAX).contains(skew));
    number.ok_or_else(|| format!("a skew is a number from 0 to {SKEW_MAX}"))
}

impl BenchArgs {
    /// What is to be done beside the load itself.
    pub fn around(&self) -> Around {
        let Self { fill, pid, json, plot, compare, target, .. } = self.clone();
        Around { fill, pid, json, plot, compare, target }
    }

    /// The load, if it makes sense.
    pub fn plan(&self) -> Result<Plan, Failure> {
        let default = if self.rate.is_some() { CONCURRENCY_OPEN } else { CONCURRENCY_CLOSED };
        let on_streams = self.connections * self.pipeline;
        let concurrency =
            if self.stream { on_streams } else { self.concurrency.unwrap_or(default) };
        let drawn = if self.mix == Mix::Chat { Distribution::Zipf } else { Distribution::Uniform };
        let plan = Plan {
            mix: self.mix,
            users: self.users,
            channels: self.channels,
            members: self.members,
            distribution: self.distribution.unwrap_or(drawn),
            skew: self.skew,
            seed: self.seed,
            rate: self.rate,
            concurrency: concurrency as usize,
            connections: self.connections as usize,
            threads: self.threads as usize,
            stream: self.stream,
            batch: self.batch as usize,
            pipeline: self.pipeline as usize,
            warm_up_seconds: self.warm_up.as_secs_f64(),
            duration_seconds: self.duration.as_secs_f64(),
            window_seconds: self.window.as_secs_f64(),
        };
        self.check(&plan).map(|()| plan).map_err(|what| Failure::Usage(what.to_owned()))
    }

    fn check(&self, plan: &Plan) -> Result<(), &'static str> {
        let single = matches!(self.mix, Mix::Ack | Mix::Increment | Mix::Chat);
        let windows = self.duration.as_nanos() / self.window.as_nanos().max(1);
        let wrong = [
            (plan.threads > plan.connections, "--threads: each needs one of --connections"),
            (plan.connections > plan.concurrency, "--connections: each needs --concurrency"),
            (
                !single && (self.stream || self.batch > 1),
                "--stream and --batch are for mixes ack, increment and chat",
            ),
            (
                self.users.saturating_mul(self.channels) > KEYS_MAX,
                "--users times --channels: that are more keys than 2^40",
            ),
            (
                self.mix == Mix::Fanout && self.members > self.users,
                "--members: there are not so many --users",
            ),
            (self.duration.is_zero(), "--duration: nothing can be measured in no time"),
            (self.duration.max(self.warm_up) > TIME_MAX, "--duration, --warm-up: 30 days at most"),
            (self.window < WINDOW_MIN, "--window: 100ms at least"),
            (windows > WINDOWS_MAX, "--window: too short for this --duration"),
        ];
        wrong.into_iter().find(|(wrong, _)| *wrong).map_or(Ok(()), |(_, what)| Err(what))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::failure::Exit;

    #[derive(Debug, Parser)]
    struct CommandLine {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn parse(flags: &str) -> Result<BenchArgs, clap::Error> {
        let words = ["bench"].into_iter().chain(flags.split_whitespace());
        CommandLine::try_parse_from(words).map(|line| line.args)
    }

    fn plan(flags: &str) -> Plan {
        parse(flags).unwrap().plan().unwrap()
    }

    #[test]
    fn loops_have_defaults_of_their_own() {
        assert_eq!((plan("").concurrency, plan("").rate), (64, None));
        let open = plan("--rate 5000");
        assert_eq!((open.concurrency, open.rate), (1_024, Some(5_000.0)));
        assert_eq!(plan("--rate 1 --concurrency 7").concurrency, 7);
        assert_eq!(plan("--stream --pipeline 3 --connections 5").concurrency, 15);
    }

    #[test]
    fn a_chat_has_the_skew_of_a_chat() {
        assert_eq!(plan("--mix chat").distribution, Distribution::Zipf);
        assert_eq!(plan("--mix chat --distribution uniform").distribution, Distribution::Uniform);
        assert_eq!(plan("--mix signin").distribution, Distribution::Uniform);
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        for flags in [
            "--rate 0",
            "--rate -1",
            "--rate NaN",
            "--rate inf",
            "--skew -0.1",
            "--skew NaN",
            "--concurrency 0",
            "--concurrency 100000",
            "--threads 65",
            "--pipeline 4",
            "--stream --concurrency 4",
            "--batch 10001",
            "--window soon",
            "--mix reads",
            "--compare a.json",
        ] {
            assert!(parse(flags).is_err(), "{flags}");
        }
    }

    #[test]
    fn flags_that_do_not_fit_each_other_are_bad_usage() {
        for flags in [
            "--threads 5",
            "--concurrency 3",
            "--mix signin --batch 2",
            "--mix health --batch 2",
            "--mix health --stream",
            "--mix fanout --stream",
            "--mix fanout --users 10 --members 11",
            "--users 1099511627776 --channels 2",
            "--duration 0s",
            "--duration 31days",
            "--window 99ms",
            "--window 100ms --duration 3h",
        ] {
            let refused = parse(flags).unwrap().plan().map_err(|failure| failure.exit());
            assert_eq!(refused, Err(Exit::Usage), "{flags}");
        }
        plan("--mix ack --users 10");
    }
}
