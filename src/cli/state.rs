//! `get`, `ack`, `increment` and `reset`: one call about one read state.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit,
    failure::Failure,
    kind::Kind,
    output::{say, say_json},
    show::{render_lines, state_json, state_lines},
    target::{Client, Target},
};
use crate::proto::{
    AckRequest, GetRequest, IncrementRequest, MentionOutcome, ReadState, ResetRequest,
};

/// Which state, where, and how to show the answer.
#[derive(Args, Clone, Debug)]
pub struct StateArgs {
    /// The user's id
    user: u64,
    /// The channel's id, or that of the guild or user for other types
    channel: u64,
    /// What the state is about
    #[arg(long = "type", value_name = "TYPE", value_enum, default_value_t)]
    kind: Kind,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Longest time to wait for the answer
    #[arg(long, value_name = "DURATION", default_value = "10s",
        value_parser = humantime::parse_duration)]
    deadline: Duration,
    #[command(flatten)]
    target: Target,
}

/// Flags of `get`.
#[derive(Args, Clone, Debug)]
pub struct GetArgs {
    #[command(flatten)]
    state: StateArgs,
}

/// Flags of `ack`.
#[derive(Args, Clone, Debug)]
pub struct AckArgs {
    #[command(flatten)]
    state: StateArgs,
    /// The newest message that is read
    message: u64,
    /// Replace the caller's bits
    #[arg(long, value_name = "BITS")]
    flags: Option<u32>,
    /// Replace the day of the last view, in days since 2015-01-01 UTC
    #[arg(long, value_name = "DAY")]
    last_viewed_day: Option<u32>,
    /// Refuse unless this is the state's version; 0 for "must not exist"
    #[arg(long, value_name = "VERSION")]
    expected_version: Option<u64>,
}

/// Flags of `increment`.
#[derive(Args, Clone, Debug)]
pub struct IncrementArgs {
    #[command(flatten)]
    state: StateArgs,
    /// The message that mentions the user; without it the mention has no position and each call
    /// counts
    message: Option<u64>,
    /// How many mentions without a position
    #[arg(long, value_name = "N", conflicts_with = "message")]
    count: Option<u32>,
    /// Where a state starts that has read nothing yet
    #[arg(long, value_name = "MESSAGE")]
    initial_acked_id: Option<u64>,
}

/// Flags of `reset`.
#[derive(Args, Clone, Debug)]
pub struct ResetArgs {
    #[command(flatten)]
    state: StateArgs,
    /// Refuse unless this is the state's version; 0 for "must not exist"
    #[arg(long, value_name = "VERSION")]
    expected_version: Option<u64>,
}

/// Shows one read state.
pub async fn get(args: GetArgs) -> Result<Exit, Failure> {
    let request = GetRequest {
        user_id: args.state.user,
        channel_id: args.state.channel,
        r#type: args.state.kind.number(),
    };
    let answer = args.state.client().await?.get(request).await?.into_inner();
    let state = answer.state.ok_or_else(|| Failure::Contract("Get without a state".into()))?;
    if args.state.json {
        say_json(&state_json(&state))?;
    } else {
        say(&render_lines(&state_lines(&state)))?;
    }
    Ok(Exit::Done)
}

/// Marks everything up to a message as read.
pub async fn ack(args: AckArgs) -> Result<Exit, Failure> {
    let request = AckRequest {
        user_id: args.state.user,
        channel_id: args.state.channel,
        message_id: args.message,
        flags: args.flags,
        last_viewed_day: args.last_viewed_day,
        expected_version: args.expected_version,
        r#type: args.state.kind.number(),
    };
    let answer = args.state.client().await?.ack(request).await?.into_inner();
    args.state.show(&Change { state: answer.state, changed: answer.changed, outcome: None })
}

/// Counts a mention.
pub async fn increment(args: IncrementArgs) -> Result<Exit, Failure> {
    let request = IncrementRequest {
        user_id: args.state.user,
        channel_id: args.state.channel,
        message_id: args.message.unwrap_or(0),
        count: args.count.unwrap_or(0),
        initial_acked_id: args.initial_acked_id,
        r#type: args.state.kind.number(),
    };
    let answer = args.state.client().await?.increment(request).await?.into_inner();
    let outcome = Some(answer.outcome());
    args.state.show(&Change { state: answer.state, changed: answer.changed, outcome })
}

/// Sets the mention count to 0.
pub async fn reset(args: ResetArgs) -> Result<Exit, Failure> {
    let request = ResetRequest {
        user_id: args.state.user,
        channel_id: args.state.channel,
        expected_version: args.expected_version,
        r#type: args.state.kind.number(),
    };
    let answer = args.state.client().await?.reset(request).await?.into_inner();
    args.state.show(&Change { state: answer.state, changed: answer.changed, outcome: None })
}

/// What a changing call answers.
struct Change {
    state: Option<ReadState>,
    changed: bool,
    outcome: Option<MentionOutcome>,
}

impl Change {
    fn json(&self) -> Value {
        let mut json = json!({
            "state": self.state.as_ref().map(state_json),
            "changed": self.changed,
        });
        if let Some(outcome) = self.outcome {
            json["outcome"] = outcome.as_str_name().into();
        }
        json
    }

    fn text(&self) -> String {
        let mut lines = self.state.as_ref().map_or_else(Vec::new, state_lines);
        lines.push(("changed", if self.changed { "yes" } else { "no" }.to_owned()));
        if let Some(outcome) = self.outcome {
            lines.push(("outcome", outcome_name(outcome).to_owned()));
        }
        render_lines(&lines)
    }
}

fn outcome_name(outcome: MentionOutcome) -> &'static str {
    match outcome {
        MentionOutcome::Unspecified => "not said",
        MentionOutcome::Incremented => "counted",
        MentionOutcome::Duplicate => "had been counted before",
        MentionOutcome::AlreadyRead => "had been read",
    }
}

impl StateArgs {
    async fn client(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.target.connect(self.deadline).await?))
    }

    fn show(&self, change: &Change) -> Result<Exit, Failure> {
        if self.json {
            say_json(&change.json())?;
        } else {
            say(&change.text())?;
        }
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_state_is_null_and_says_that_nothing_changed() {
        let change = Change { state: None, changed: false, outcome: None };
        assert_eq!(change.json(), json!({ "state": null, "changed": false }));
        assert_eq!(change.text(), "changed  no");
    }

    #[test]
    fn an_outcome_is_told_to_both_kinds_of_readers() {
        let outcome = Some(MentionOutcome::AlreadyRead);
        let change = Change { state: Some(ReadState::default()), changed: false, outcome };
        assert_eq!(change.json()["outcome"], "MENTION_OUTCOME_ALREADY_READ");
        assert!(change.text().ends_with("had been read"), "{}", change.text());
    }
}
