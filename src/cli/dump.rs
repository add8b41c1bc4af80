//! `dump`: all read states of a live server into a file, which can be gone on with where it broke
//! off.

use std::{
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::{
    Exit,
    dump_file::{DumpWriter, Kept},
    failure::Failure,
    output::{complain, say, say_json},
    progress::counter,
    show,
    target::Target,
    walk::{Walk, maintenance},
};
use crate::proto::DumpRequest;

/// Where a dump goes that is not to go into a file.
const STDOUT: &str = "-";

/// Flags of `dump`.
#[derive(Args, Clone, Debug)]
pub struct DumpArgs {
    /// The file to write, packed where its name ends in .zst; - for stdout
    #[arg(long, short, value_name = "FILE", default_value = STDOUT)]
    output: PathBuf,
    /// Go on with a file that broke off, or write a new one if there is none
    #[arg(long)]
    resume: bool,
    /// Leave out states whose rows are damaged, and tell each; without this the first one ends it
    #[arg(long)]
    skip_damaged: bool,
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

/// Writes the dump.
pub async fn dump(args: DumpArgs) -> Result<Exit, Failure> {
    let to_stdout = args.output == Path::new(STDOUT);
    if to_stdout && (args.json || args.resume) {
        let what = "--json and --resume need a file: name one with --output";
        return Err(Failure::Usage(what.to_owned()));
    }
    let (mut writer, request, created) = match begin(&args, to_stdout)? {
        Begun::Created(writer) => (writer, DumpRequest::default(), !to_stdout),
        Begun::GoesOn(writer, request) => (writer, request, false),
        Begun::Complete(kept) => {
            report(&args, kept.rows(), 0, kept.version())?;
            return Ok(Exit::Done);
        }
    };
    let request = DumpRequest { skip_damaged: args.skip_damaged, ..request };
    let bar = counter("states");
    let mut walk = Walk::new(maintenance(&args.target)?, args.retry_for, request, bar.clone());
    bar.set_position(writer.rows());
    let copied = copy(&mut walk, &mut writer, &bar).await;
    bar.finish_and_clear();
    if copied.is_err() && walk.version() == 0 && created {
        // It is this run's own, there is nothing in it, and it would be in the way of the next try.
        fs::remove_file(&args.output).ok();
    }
    // What came before an error is written too: it need not come again.
    writer.flush()?;
    copied?;
    let rows = writer.rows();
    writer.end()?;
    if to_stdout {
        complain(&text(rows, walk.version()));
    } else {
        report(&args, rows, walk.skipped(), walk.version())?;
    }
    Ok(Exit::Done)
}

enum Begun {
    Created(DumpWriter),
    GoesOn(DumpWriter, DumpRequest),
    Complete(Kept),
}

fn begin(args: &DumpArgs, to_stdout: bool) -> Result<Begun, Failure> {
    let path = &args.output;
    if to_stdout {
        return Ok(Begun::Created(DumpWriter::to_stdout()));
    }
    if args.resume && path.exists() {
        let kept = Kept::of(path)?;
        if kept.is_complete() {
            return Ok(Begun::Complete(kept));
        }
        let request = kept.request();
        return Ok(Begun::GoesOn(DumpWriter::go_on(path, kept)?, request));
    }
    match DumpWriter::create(path) {
        Ok(writer) => Ok(Begun::Created(writer)),
        Err(error) => Err(Failure::Usage(uncreated(path, &error))),
    }
}

fn uncreated(path: &Path, error: &io::Error) -> String {
    let path = path.display();
    match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{path} is there already: add --resume to go on with it, or name another")
        }
        _ => format!("cannot write {path}: {error}"),
    }
}

async fn copy(walk: &mut Walk, writer: &mut DumpWriter, bar: &ProgressBar) -> Result<(), Failure> {
    while let Some(states) = walk.step().await? {
        writer.begin(walk.version())?;
        for state in &states {
            writer.put(state)?;
        }
        bar.set_position(writer.rows());
    }
    Ok(())
}

fn report(args: &DumpArgs, rows: u64, skipped: u64, version: u64) -> Result<(), Failure> {
    if args.json {
        return say_json(&json!({
            "file": args.output,
            "rows": rows.to_string(),
            "skipped": skipped.to_string(),
            "version": version.to_string(),
        }));
    }
    say(&text(rows, version))
}

fn text(rows: u64, version: u64) -> String {
    format!("{rows} states dumped at version {}", show::version(version))
}
