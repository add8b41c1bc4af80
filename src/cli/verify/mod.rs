//! `verify`: a server's cache against its store, by the server itself; or its states against a
//! dump, row by row.

mod compare;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use self::compare::{Comparison, compare};
use super::{
    Exit,
    dump_file::DumpReader,
    failure::Failure,
    output::{complain, say, say_json},
    progress::counter,
    target::Target,
    walk::{Walk, in_time, key_text, maintenance},
};
use crate::proto::{Difference, DifferenceKind, DumpRequest, Key, VerifyRequest, VerifyResponse};

/// Differences that are told; the others are counted.
const EXAMPLES_MAX: usize = 20;

/// Flags of `verify`.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// A dump to hold the server's states against; without it the server checks itself
    file: Option<PathBuf>,
    /// Compare with what there is of a dump that broke off
    #[arg(long, requires = "file")]
    allow_cut: bool,
    /// How long to go on trying while the server is away
    #[arg(long, value_name = "DURATION", default_value = "60s",
        value_parser = humantime::parse_duration)]
    retry_for: Duration,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Checks; only a server without a difference is [`Exit::Done`].
pub async fn verify(args: VerifyArgs) -> Result<Exit, Failure> {
    match &args.file {
        Some(file) => against_dump(&args, DumpReader::open(file)?).await,
        None => against_itself(&args).await,
    }
}

async fn against_dump(args: &VerifyArgs, dump: DumpReader) -> Result<Exit, Failure> {
    // With tombstones: what was deleted since is not missing. What is damaged is.
    let (include_deleted, skip_damaged) = (true, true);
    let request = DumpRequest { include_deleted, skip_damaged, ..DumpRequest::default() };
    let bar = counter("states");
    let walk = Walk::new(maintenance(&args.target)?, args.retry_for, request, bar.clone());
    let compared = compare(dump, walk, args.allow_cut, &bar).await;
    bar.finish_and_clear();
    let found = compared?;
    if args.json {
        say_json(&comparison_json(&found))?;
    } else {
        say(&comparison_text(&found))?;
    }
    Ok(if found.is_equal() { Exit::Done } else { Exit::Failed })
}

fn comparison_json(found: &Comparison) -> Value {
    let example = |(kind, state): &(&str, Key)| json!({ "what": kind, "state": key_json(state) });
    json!({
        "version": found.version.to_string(),
        "equal": found.equal.to_string(),
        "differ": found.differ.to_string(),
        "missing": found.missing.to_string(),
        "unexpected": found.unexpected.to_string(),
        "changed_since": found.changed_since.to_string(),
        "examples": found.examples.iter().map(example).collect::<Vec<_>>(),
    })
}

fn comparison_text(found: &Comparison) -> String {
    let Comparison { equal, differ, missing, unexpected, changed_since, .. } = found;
    let mut text = format!(
        "{equal} equal, {differ} differ, {missing} missing, {unexpected} unexpected, \
         {changed_since} changed since version {}",
        found.version
    );
    for (what, key) in &found.examples {
        text += &format!("\n{what}: {}", key_text(key));
    }
    text
}

async fn against_itself(args: &VerifyArgs) -> Result<Exit, Failure> {
    let bar = counter("states");
    let checked = check(args, &bar).await;
    bar.finish_and_clear();
    let (end, differences, count) = checked?;
    if end.undecided > 0 {
        let undecided = end.undecided;
        complain(&format!("readstates: {undecided} states changed each time they were looked at"));
    }
    if args.json {
        say_json(&json!({
            "rows": end.rows.to_string(),
            "cached": end.cached.to_string(),
            "undecided": end.undecided.to_string(),
            "differences": count.to_string(),
            "examples": differences.iter().map(difference_json).collect::<Vec<_>>(),
        }))?;
    } else {
        let VerifyResponse { rows, cached, .. } = end;
        say(&format!("{rows} rows and {cached} cached states checked, {count} differences"))?;
        differences.iter().try_for_each(|difference| say(&difference_text(difference)))?;
    }
    Ok(if count == 0 { Exit::Done } else { Exit::Failed })
}

/// The last answer, the first differences, and how many there were.
async fn check(
    args: &VerifyArgs,
    bar: &indicatif::ProgressBar,
) -> Result<(VerifyResponse, Vec<Difference>, u64), Failure> {
    let mut client = maintenance(&args.target)?;
    let mut answers = client.verify(VerifyRequest {}).await?.into_inner();
    let (mut end, mut first, mut count) = (VerifyResponse::default(), Vec::new(), 0);
    while let Some(mut answer) = in_time(answers.message()).await? {
        count += answer.differences.len() as u64;
        first.append(&mut answer.differences);
        first.truncate(EXAMPLES_MAX);
        bar.set_position(answer.rows + answer.cached);
        end = answer;
    }
    Ok((end, first, count))
}

fn difference_json(difference: &Difference) -> Value {
    json!({
        "what": difference.kind().as_str_name(),
        "state": key_json(&difference.key.unwrap_or_default()),
        "cached_version": difference.cached_version.to_string(),
        "stored_version": difference.stored_version.to_string(),
    })
}

fn difference_text(difference: &Difference) -> String {
    let what = match difference.kind() {
        DifferenceKind::Unspecified => "wrong",
        DifferenceKind::Invalid => "its parts do not add up",
        DifferenceKind::RowMissing => "the store has lost it",
        DifferenceKind::RowDiffers => "the store has another",
        DifferenceKind::RowNewer => "the store has a newer one",
        DifferenceKind::RowDamaged => "the store has a damaged row",
    };
    let (cached, stored) = (difference.cached_version, difference.stored_version);
    let key = key_text(&difference.key.unwrap_or_default());
    format!("{key}: {what} (version {cached} cached, {stored} stored)")
}

fn key_json(key: &Key) -> Value {
    json!({
        "user_id": key.user_id.to_string(),
        "channel_id": key.channel_id.to_string(),
        "type": key.r#type().as_str_name(),
    })
}
