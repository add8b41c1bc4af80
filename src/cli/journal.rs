//! `journal`: looks at the files of a crash journal, repairs them, or hands over what is in them,
//! while the server is down.

mod json;
mod offer;
mod text;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};

use super::{
    Exit,
    failure::Failure,
    output::{complain, say, say_json},
};
use offer::OfferArgs;

use crate::journal::{Disk, FolderDisk, Inspection, JournalError, JournalOptions, Repair};

/// What can be done with the files of a journal.
#[derive(Clone, Debug, Subcommand)]
pub enum JournalCommand {
    /// Show segments, what a start would replay, and all damage; exit code 1 if there is any
    Inspect(InspectArgs),
    /// Keep what still checks of a damaged journal; the damaged files are set aside
    Repair(RepairArgs),
    /// Give what a service had not flushed to who owns the keyspace now, and remove the journal
    Offer(OfferArgs),
}

/// Flags of `journal inspect`.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Flags of `journal repair`.
#[derive(Args, Clone, Debug)]
pub struct RepairArgs {
    /// Do it, though what does not check is lost; without this flag the loss is only shown
    #[arg(long)]
    accept_loss: bool,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where the journal is.
#[derive(Args, Clone, Debug)]
struct Place {
    /// The data directory of the server
    #[arg(long, value_name = "DIRECTORY", env = "READSTATES_DATA_DIR", default_value = "./data")]
    data_dir: PathBuf,
}

impl Place {
    fn open(&self) -> Result<FolderDisk, Failure> {
        let found = FolderDisk::existing_of_journal(&self.data_dir);
        found.ok().flatten().ok_or_else(|| Failure::Usage(no_journal(&self.data_dir)))
    }
}

/// Does it.
pub async fn journal(command: JournalCommand) -> Result<Exit, Failure> {
    match command {
        JournalCommand::Inspect(args) => inspect(&args),
        JournalCommand::Repair(args) => repair(&args),
        JournalCommand::Offer(args) => offer::offer(args).await,
    }
}

fn inspect(args: &InspectArgs) -> Result<Exit, Failure> {
    let inspection = Inspection::of(&args.place.open()?)?;
    if args.json {
        say_json(&json::inspection(&inspection))?;
    } else {
        say(&text::inspection(&inspection, &args.place.data_dir))?;
    }
    Ok(if inspection.is_whole() { Exit::Done } else { Exit::Failed })
}

fn repair(args: &RepairArgs) -> Result<Exit, Failure> {
    let disk: Arc<dyn Disk> = Arc::new(args.place.open()?);
    let repair = Repair::of(&disk, &JournalOptions::default(), args.accept_loss)?;
    if args.json {
        say_json(&json::repair(&repair))?;
    } else {
        say(&text::repair(&repair))?;
    }
    if repair.is_whole() || repair.done.is_some() {
        return Ok(Exit::Done);
    }
    complain("readstates: nothing was changed; to accept this loss, add --accept-loss");
    Ok(Exit::Usage)
}

fn no_journal(data_dir: &Path) -> String {
    format!("there is no journal in {}; name the server's --data-dir", data_dir.display())
}

/// One line for a problem: the hints of the error itself are for a server that does not start.
fn line(problem: &JournalError) -> String {
    match problem {
        JournalError::Damaged(damage) => damage.to_string(),
        other => other.to_string(),
    }
}
