//! `bench`: puts load on a server and measures how it answers.
//!
//! ```text
//! fleet (this runtime)          worker (a thread and a runtime of its own), as many as --threads
//!   starts, begins, stops  --->   pace: when is the next call meant to be sent (schedule, bells)
//!   samples both processes        callers: draw from a deck, call over a link, note the answer
//!   collector  <--- slices ---    recorder: one slice for each window
//!   report: text, JSON
//! ```
//!
//! A closed loop (no `--rate`) has callers that each call again when they are answered: it finds
//! out how much a server can do, but is as slow as the server, so that a stall counts once for each
//! caller. An open loop sends calls on schedule, as users do, and counts latency from when a call
//! was *meant* to be sent: whoever would have had to wait is counted with that wait.

mod bells;
mod caller;
mod chat;
mod collector;
mod compare;
mod deck;
mod fill;
mod flags;
mod fleet;
mod ids;
mod keys;
mod link;
mod meter;
mod pace;
mod period;
mod plan;
mod plot;
mod recorder;
mod report;
mod schedule;
mod slice;
mod stream;
mod text;
mod timer;
mod worker;

pub use flags::BenchArgs;

use std::{io, path::PathBuf};

use self::{
    compare::Pair,
    flags::Around,
    fleet::Fleet,
    meter::Sample,
    plan::Plan,
    plot::{OF_TWO, Run},
    report::Report,
};
use super::{
    Exit,
    failure::Failure,
    output::{say, say_json},
    progress::{clock_bar, progress_bar},
};

/// Makes the load, measures it and reports; or compares two that were measured.
pub async fn bench(args: BenchArgs) -> Result<Exit, Failure> {
    let around = args.around();
    if let Some([a, b]) = around.compare.as_deref() {
        return compare(&around, [a.clone(), b.clone()]);
    }
    let report = measure(args.plan()?, &around, interrupted()).await?;
    tell(&report, &around)?;
    Ok(exit(&report))
}

fn compare(around: &Around, files: [PathBuf; 2]) -> Result<Exit, Failure> {
    let pair = Pair { reports: [Report::read(&files[0])?, Report::read(&files[1])?], files };
    if around.json {
        say_json(&pair.json())?
    } else {
        say(&pair.text())?
    }
    if let Some(path) = &around.plot {
        let [a, b] = &pair.reports;
        let [purple, blue] = OF_TWO;
        plot::write(path, &[Run::beside("A", a, purple), Run::beside("B", b, blue)])?;
    }
    Ok(Exit::Done)
}

/// Ends at the first Ctrl-C.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

async fn measure(
    plan: Plan,
    around: &Around,
    stop: impl Future<Output = ()>,
) -> Result<Report, Failure> {
    let target = around.target.address()?;
    if around.pid.is_some() && Sample::take(around.pid).server.is_none() {
        return Err(Failure::Usage("--pid: no such process can be looked at here".to_owned()));
    }
    if around.fill {
        fill::fill(&plan, &around.target, &progress_bar()).await?;
    }
    Fleet::start(plan, target, around.pid, clock_bar()).await?.run(stop).await
}

fn tell(report: &Report, around: &Around) -> Result<(), Failure> {
    if around.json {
        say_json(&serde_json::to_value(report).map_err(io::Error::from)?)?;
    } else {
        say(&text::report(report))?;
    }
    // Last: a picture that cannot be written takes nothing else with it.
    match &around.plot {
        Some(path) => plot::write(path, &[Run::alone(report)]),
        None => Ok(()),
    }
}

/// A server that answered nothing was not there.
fn exit(report: &Report) -> Exit {
    match (report.failed(), report.calls) {
        (0, _) => Exit::Done,
        (_, 0) if report.errors.keys().all(|kind| slice::is_absence(kind)) => Exit::Unavailable,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests;
