//! `watch`: what changes of some users, as it changes, for as long as it is let.

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{
    Exit,
    failure::{Failure, describe, is_unreachable},
    kind,
    output::{complain, say, say_json},
    show::state_json,
    target::{Client, Target},
};
use crate::proto::{Cause, WatchRequest, WatchResponse, WatchTarget};

/// Pause before the stream is begun again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Flags of `watch`.
#[derive(Args, Clone, Debug)]
pub struct WatchArgs {
    /// The users' ids
    #[arg(required = true)]
    users: Vec<u64>,
    /// First show what changed after this version; 0 shows everything. Without it, only what
    /// changes from now on
    #[arg(long, value_name = "VERSION")]
    since: Option<u64>,
    /// Stop after this many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// End when the stream does; otherwise it is begun again where it ended
    #[arg(long)]
    once: bool,
    /// Print a line of JSON for each event
    #[arg(long)]
    json: bool,
    /// Longest time to wait for a connection
    #[arg(long, value_name = "DURATION", default_value = "10s",
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    #[command(flatten)]
    target: Target,
}

/// Shows what changes of some users.
pub async fn watch(args: WatchArgs) -> Result<Exit, Failure> {
    let mut watching = Watching::new(&args);
    loop {
        let failure = match watching.stream(&args).await {
            Ok(()) => return Ok(Exit::Done),
            Err(failure) => failure,
        };
        match failure {
            // Once something has been heard, it is worth waiting for more.
            Failure::Call(status) if !args.once && watching.heard && may_resume(&status) => {
                complain(&format!("readstates: {}; going on where it ended", describe(&status)));
            }
            failure => return Err(failure),
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

fn may_resume(status: &Status) -> bool {
    is_unreachable(status) || status.code() == Code::ResourceExhausted
}

struct Watching {
    targets: BTreeMap<u64, WatchTarget>,
    left: u64,
    heard: bool,
}

impl Watching {
    fn new(args: &WatchArgs) -> Self {
        let target = |user: &u64| {
            let since_version = args.since.unwrap_or(0);
            let from_now = args.since.is_none();
            (*user, WatchTarget { user_id: *user, since_version, from_now })
        };
        let targets = args.users.iter().map(target).collect();
        Self { targets, left: args.limit.unwrap_or(u64::MAX), heard: false }
    }

    /// Shows the events of one stream; `Ok` once as many were shown as were asked for.
    async fn stream(&mut self, args: &WatchArgs) -> Result<(), Failure> {
        let mut client = Client::new(args.target.connect(args.deadline).await?);
        let targets = self.targets.values().copied().collect();
        let mut events = client.watch(WatchRequest { targets }).await?.into_inner();
        while self.left > 0 {
            let Some(event) = events.message().await? else {
                return Err(Failure::Contract("a watch ended without a status".to_owned()));
            };
            self.take(&event);
            if args.json { say_json(&event_json(&event))? } else { say(&event_line(&event))? }
        }
        Ok(())
    }

    /// From here on this event need not come again.
    fn take(&mut self, event: &WatchResponse) {
        self.heard = true;
        self.left -= 1;
        let resume =
            WatchTarget { user_id: event.user_id, since_version: event.version, from_now: false };
        self.targets.insert(event.user_id, resume);
    }
}

fn event_json(event: &WatchResponse) -> Value {
    json!({
        "user_id": event.user_id.to_string(),
        "cause": event.cause().as_str_name(),
        "version": event.version.to_string(),
        "state": event.state.as_ref().map(state_json),
    })
}

fn event_line(event: &WatchResponse) -> String {
    let user = event.user_id;
    let Some(state) = &event.state else {
        let words = match event.cause() {
            Cause::CaughtUp => "caught up",
            _ => "begin anew: forget what you hold",
        };
        return format!("{user}  {words}, version {}", event.version);
    };
    let cause = event.cause().as_str_name().trim_start_matches("CAUSE_").to_lowercase();
    let kind = kind::name(state.r#type());
    let mut line = format!("{user}  {cause:<11} {kind} {}", state.channel_id);
    if state.deleted {
        return line + "  deleted";
    }
    line += &format!("  read up to {}, {} mentions", state.last_acked_id, state.mention_count);
    if state.marked_unread {
        line += ", marked unread";
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ReadState;

    fn event(cause: Cause, state: Option<ReadState>) -> WatchResponse {
        WatchResponse { user_id: 7, state, cause: cause.into(), version: 5 }
    }

    #[test]
    fn an_event_is_one_line_that_says_what_became_of_the_state() {
        let state =
            ReadState { channel_id: 2, r#type: 1, last_acked_id: 9, ..ReadState::default() };
        let line = event_line(&event(Cause::Ack, Some(state)));
        assert_eq!(line, "7  ack         channel 2  read up to 9, 0 mentions");
        let deleted = ReadState { deleted: true, ..state };
        assert!(event_line(&event(Cause::Delete, Some(deleted))).ends_with("  deleted"));
        assert_eq!(event_line(&event(Cause::CaughtUp, None)), "7  caught up, version 5");
    }

    #[test]
    fn a_stream_is_begun_again_behind_the_last_event_of_each_user() {
        let args = WatchArgs {
            users: vec![7, 8],
            since: None,
            limit: None,
            once: false,
            json: false,
            deadline: Duration::from_secs(1),
            target: Target::default(),
        };
        let mut watching = Watching::new(&args);
        assert!(watching.targets.values().all(|target| target.from_now));
        watching.take(&event(Cause::CaughtUp, None));
        let targets: Vec<(u64, bool)> =
            watching.targets.values().map(|t| (t.since_version, t.from_now)).collect();
        assert_eq!(targets, [(5, false), (0, true)]);
    }
}
