//! What load is made: everything that one has to know to make it again.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mix {
    /// Acks, each of which moves its watermark
    Ack,
    /// Mentions of messages that nobody was mentioned in before
    Increment,
    /// Acks and mentions as in a real chat
    Chat,
    /// All states of a user, as a device asks for them when it signs in
    Signin,
    /// Mentions of many members of a channel at once
    Fanout,
    /// Health checks, which do nearly nothing: what calls cost without their work
    Health,
}

/// How often a key is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// All alike
    Uniform,
    /// The one of rank r in proportion to r to the power of minus the skew
    Zipf,
}

/// The load of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What is called.
    pub mix: Mix,
    /// Users there are.
    pub users: u64,
    /// Channels that each of them is in; they are the same for all.
    pub channels: u64,
    /// Users that a fan-out mentions.
    pub members: u64,
    /// How keys are drawn.
    pub distribution: Distribution,
    /// Of [`Distribution::Zipf`].
    pub skew: f64,
    /// Draws the same keys again.
    pub seed: u64,
    /// Calls a second in an open loop; `None` for a closed one.
    pub rate: Option<f64>,
    /// Calls under way at a time, at most; of streams the messages.
    pub concurrency: usize,
    /// Connections.
    pub connections: usize,
    /// Threads of the generator.
    pub threads: usize,
    /// Whether operations go over `ApplyStream`, one for each connection.
    pub stream: bool,
    /// Operations in a call; more than one are an `Apply`.
    pub batch: usize,
    /// Messages under way on each stream, at most.
    pub pipeline: usize,
    /// Before anything is measured.
    pub warm_up_seconds: f64,
    /// How long is measured.
    pub duration_seconds: f64,
    /// Each window has percentiles of its own.
    pub window_seconds: f64,
}

impl Plan {
    /// Keys there are.
    pub fn keys(&self) -> u64 {
        self.users * self.channels
    }

    /// Before anything is measured.
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up_seconds)
    }

    /// How long is measured.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.duration_seconds)
    }

    /// How long each window is; the last one may be cut.
    pub fn window(&self) -> Duration {
        Duration::from_secs_f64(self.window_seconds)
    }

    /// A line on what is called and how.
    pub fn title(&self) -> String {
        let what = format!("{}{}", name(self.mix), self.form());
        let pace = match self.rate {
            Some(rate) => format!("open loop at {rate}/s"),
            None => "closed loop".to_owned(),
        };
        format!("{what}, {pace}, {}", self.places())
    }

    fn form(&self) -> String {
        match (self.stream, self.batch) {
            (true, batch) => format!(" by {batch} over streams"),
            (false, 1) if self.mix == Mix::Fanout => format!(" to {} members", self.members),
            (false, 1) => String::new(),
            (false, batch) => format!(" by {batch}"),
        }
    }

    fn places(&self) -> String {
        let Self { concurrency, connections, users, channels, .. } = self;
        let drawn = match self.distribution {
            Distribution::Uniform => "uniform".to_owned(),
            Distribution::Zipf => format!("zipf {}", self.skew),
        };
        format!(
            "{concurrency} at a time over {connections} connections, \
             {users} users x {channels} channels {drawn}"
        )
    }
}

/// As it is written on the command line.
fn name(mix: Mix) -> &'static str {
    match mix {
        Mix::Ack => "ack",
        Mix::Increment => "increment",
        Mix::Chat => "chat",
        Mix::Signin => "signin",
        Mix::Fanout => "fanout",
        Mix::Health => "health",
    }
}

#[cfg(test)]
impl Plan {
    /// A small one, for tests.
    pub fn small(mix: Mix) -> Self {
        Self {
            mix,
            users: 10,
            channels: 5,
            members: 3,
            distribution: Distribution::Uniform,
            skew: 1.05,
            seed: 1,
            rate: None,
            concurrency: 4,
            connections: 1,
            threads: 1,
            stream: false,
            batch: 1,
            pipeline: 8,
            warm_up_seconds: 0.0,
            duration_seconds: 1.0,
            window_seconds: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_says_what_one_has_to_know() {
        let plan = Plan::small(Mix::Ack);
        assert_eq!(
            plan.title(),
            "ack, closed loop, 4 at a time over 1 connections, 10 users x 5 channels uniform"
        );
        let plan = Plan {
            stream: true,
            batch: 100,
            rate: Some(2_000.0),
            distribution: Distribution::Zipf,
            ..plan
        };
        let title = plan.title();
        assert!(title.starts_with("ack by 100 over streams, open loop at 2000/s, "), "{title}");
        assert!(title.ends_with("zipf 1.05"), "{title}");
        assert!(Plan::small(Mix::Fanout).title().starts_with("fanout to 3 members, "));
    }
}
