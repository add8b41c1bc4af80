//! `load`: the read states of a dump into a server, batch by batch. Of two states the newer one
//! stays, so that it can be done again, or gone on with, at will.

mod progress;

use std::{cell::Cell, path::PathBuf, time::Duration};

use clap::Args;
use futures_util::{StreamExt as _, stream};
use indicatif::ProgressBar;
use prost::Message as _;
use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt as _;

use self::progress::Progress;
use super::{
    Exit,
    dump_file::{DumpReader, Survey},
    failure::{Failure, describe},
    output::{complain, say, say_json},
    progress::progress_bar,
    replay::InputError,
    retry::{CallError, persist},
    show,
    target::Target,
    walk::{MaintenanceClient, maintenance},
};
use crate::proto::{LoadRequest, LoadResponse, StateRecord};

/// States in one call ...
const BATCH_ROWS: usize = 1_000;
/// ... and about how many bytes of them: half of what a server takes by default.
const BATCH_BYTES: usize = 512 << 10;
/// Calls under way at a time, at most.
const CONCURRENCY_MAX: u64 = 64;

/// Flags of `load`.
#[derive(Args, Clone, Debug)]
pub struct LoadArgs {
    /// The file that `dump` wrote
    file: PathBuf,
    /// Go on where a load of this file into this server broke off
    #[arg(long)]
    resume: bool,
    /// Load what there is of a dump that broke off
    #[arg(long)]
    allow_cut: bool,
    /// Calls under way at a time
    #[arg(long, value_name = "N", default_value_t = 4,
        value_parser = clap::value_parser!(u64).range(1..=CONCURRENCY_MAX))]
    concurrency: u64,
    /// How long a call is tried again when the server is away or asks for patience
    #[arg(long, value_name = "DURATION", default_value = "60s",
        value_parser = humantime::parse_duration)]
    retry_for: Duration,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// What became of the states.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    taken: u64,
    older: u64,
}

/// States that go in one call.
struct Batch {
    /// How many come before the first, in the file.
    before: u64,
    states: Vec<StateRecord>,
}

/// Loads the file.
pub async fn load(args: LoadArgs) -> Result<Exit, Failure> {
    let client = maintenance(&args.target)?;
    // All of it is looked at before the first call: nothing is taken from a file that is damaged.
    let survey = Survey::of(&args.file)?;
    if survey.cut && !args.allow_cut {
        let what = "the dump breaks off here: go on with `dump --resume`, or load what there is \
                    of it with --allow-cut";
        return Err(DumpReader::error_at_row(&args.file, survey.rows + 1, what).into());
    }
    let mut progress = Progress::open(&args.file, &survey, &args.target.url);
    if !args.resume {
        progress.start_over();
    }
    let bar = progress_bar();
    bar.set_length(survey.rows);
    bar.set_position(progress.rows());
    let sent = send_all(&args, client, &mut progress, &bar).await;
    bar.finish_and_clear();
    let tally = sent?;
    progress.done();
    report(&args, &survey, tally)?;
    Ok(Exit::Done)
}

async fn send_all(
    args: &LoadArgs,
    client: MaintenanceClient,
    progress: &mut Progress,
    bar: &ProgressBar,
) -> Result<Tally, Failure> {
    let mut batches = Batches { reader: DumpReader::open(&args.file)?, row: 0, next: None };
    batches.pass_over(progress.rows())?;
    let calls = Calls { args, client, bar, told: Cell::new(false) };
    let answers = stream::iter(batches).map(|batch| async {
        let batch = batch?;
        let answer = calls.send(&batch).await?;
        Ok::<_, Failure>((batch.before + batch.states.len() as u64, answer))
    });
    // In the order of the file: what is noted as done has nothing undone before it.
    let mut answers = answers.buffered(usize::try_from(args.concurrency).unwrap_or(1));
    let mut tally = Tally::default();
    while let Some(answered) = answers.next().await {
        let (rows, answer) = answered?;
        tally.taken += u64::from(answer.taken);
        tally.older += u64::from(answer.older);
        progress.note(rows);
        bar.set_position(rows);
    }
    Ok(tally)
}

/// The calls of one load, and what they have in common.
struct Calls<'a> {
    args: &'a LoadArgs,
    client: MaintenanceClient,
    bar: &'a ProgressBar,
    /// The first failure that is tried again is told.
    told: Cell<bool>,
}

impl Calls<'_> {
    async fn send(&self, batch: &Batch) -> Result<LoadResponse, Failure> {
        let call = || {
            let (mut client, states) = (self.client.clone(), batch.states.clone());
            async move { Ok(client.load(LoadRequest { states }).await?.into_inner()) }
        };
        let status = match persist(self.args.retry_for, call, |status| self.tell(status)).await {
            Ok(answer) => return Ok(answer),
            Err(CallError::Refused(status) | CallError::GaveUp(status)) => status,
        };
        let Some(row) = refused_row(&status) else { return Err(status.into()) };
        let what = describe(&status);
        Err(DumpReader::error_at_row(&self.args.file, batch.before + row + 1, &what).into())
    }

    fn tell(&self, status: &Status) {
        if !self.told.replace(true) {
            let text = format!("readstates: {}; trying again", describe(status));
            self.bar.suspend(|| complain(&text));
        }
    }
}

/// Which state of a batch the server found fault with, counted from 0.
fn refused_row(status: &Status) -> Option<u64> {
    let bad = status.get_details_bad_request()?;
    let field = &bad.field_violations.first()?.field;
    let (place, _) = field.strip_prefix("states[")?.split_once(']')?;
    place.parse().ok()
}

/// The states of a file in batches.
struct Batches {
    reader: DumpReader,
    row: u64,
    /// Read already, and for the next batch.
    next: Option<StateRecord>,
}

impl Batches {
    fn pass_over(&mut self, rows: u64) -> Result<(), InputError> {
        while self.row < rows && self.reader.state()?.is_some() {
            self.row += 1;
        }
        Ok(())
    }

    fn batch(&mut self) -> Result<Batch, InputError> {
        let mut batch = Batch { before: self.row, states: Vec::new() };
        let mut bytes = 0;
        while batch.states.len() < BATCH_ROWS {
            let next = match self.next.take() {
                Some(state) => Some(state),
                None => self.reader.state()?,
            };
            let Some(state) = next else { break };
            bytes += state.encoded_len();
            if bytes > BATCH_BYTES && !batch.states.is_empty() {
                self.next = Some(state);
                break;
            }
            batch.states.push(state);
            self.row += 1;
        }
        Ok(batch)
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.batch() {
            Ok(batch) if batch.states.is_empty() => None,
            batch => Some(batch.map_err(Failure::from)),
        }
    }
}

fn report(args: &LoadArgs, survey: &Survey, tally: Tally) -> Result<(), Failure> {
    if survey.cut {
        complain("readstates: the dump is not whole; what there is of it was loaded");
    }
    let Tally { taken, older } = tally;
    if args.json {
        return say_json(&json!({
            "file": args.file,
            "version": survey.version.to_string(),
            "rows": survey.rows.to_string(),
            "taken": taken.to_string(),
            "older": older.to_string(),
            "whole": !survey.cut,
        }));
    }
    let version = show::version(survey.version);
    say(&format!(
        "{} states of the dump at version {version}: {taken} taken, {older} as new or newer here",
        taken + older
    ))
}

#[cfg(test)]
mod tests {
    use tonic::Code;
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn the_row_at_fault_is_the_one_that_the_server_names() {
        for (field, row) in [
            ("states[12].version", Some(12)),
            ("states[0]", Some(0)),
            ("states", None),
            ("states[x]", None),
            ("keys[1]", None),
        ] {
            let details = ErrorDetails::with_bad_request_violation(field, "no");
            let status = Status::with_error_details(Code::InvalidArgument, "no", details);
            assert_eq!(refused_row(&status), row, "{field}");
        }
    }
}
