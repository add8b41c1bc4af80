//! `list`: the read states of a user, all pages of them.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{
    Exit,
    failure::Failure,
    kind::Kind,
    output::{say, say_json},
    pages::Pages,
    show::{self, state_json, state_table},
    target::{Client, Target},
};
use crate::proto::{ListRequest, ReadState};

/// Rows asked for at a time.
const PAGE_ROWS: i32 = 1_000;

/// Flags of `list`.
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// The user's id
    user: u64,
    /// Only what changed after this version, deleted states included
    #[arg(long, value_name = "VERSION", default_value_t)]
    since: u64,
    /// Only states with mentions or marked as unread
    #[arg(long, conflicts_with = "since")]
    unread: bool,
    /// Only states of this type
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    kind: Option<Kind>,
    /// Stop after this many states
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Longest time to wait for each page
    #[arg(long, value_name = "DURATION", default_value = "10s",
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    #[command(flatten)]
    target: Target,
}

/// What was listed.
#[derive(Debug, Default)]
struct Listing {
    states: Vec<ReadState>,
    version: u64,
    delta: bool,
}

/// Lists the read states of a user.
pub async fn list(args: ListArgs) -> Result<Exit, Failure> {
    let mut client = Client::new(args.target.connect(args.deadline).await?);
    let listing = collect(&mut client, &args).await?;
    if args.json {
        say_json(&json!({
            "states": listing.states.iter().map(state_json).collect::<Vec<_>>(),
            "version": listing.version.to_string(),
            "delta": listing.delta,
        }))?;
    } else {
        say(&text(&listing))?;
    }
    Ok(Exit::Done)
}

async fn collect(client: &mut Client, args: &ListArgs) -> Result<Listing, Failure> {
    let limit = args.limit.unwrap_or(usize::MAX);
    let mut pages = Pages::new(args.request());
    let mut listing = Listing::default();
    while let Some(request) = pages.request() {
        let page = client.list(request.clone()).await?.into_inner();
        pages.turn(&page).map_err(Failure::Contract)?;
        (listing.version, listing.delta) = (page.version, page.delta);
        listing.states.extend(page.states.into_iter().filter(|state| args.wants(state)));
        if listing.states.len() >= limit {
            listing.states.truncate(limit);
            break;
        }
    }
    Ok(listing)
}

impl ListArgs {
    fn request(&self) -> ListRequest {
        ListRequest {
            user_id: self.user,
            page_size: PAGE_ROWS,
            page_token: String::new(),
            since_version: self.since,
            unread_only: self.unread,
        }
    }

    fn wants(&self, state: &ReadState) -> bool {
        self.kind.is_none_or(|kind| kind.number() == state.r#type)
    }
}

fn text(listing: &Listing) -> String {
    let set = if listing.delta { "changed" } else { "in full" };
    let count = listing.states.len();
    let version = show::version(listing.version);
    let states = if count == 1 { "state" } else { "states" };
    format!("{}\n{count} {states} {set}, version {version}", state_table(&listing.states))
}
