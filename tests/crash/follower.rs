//! A device that watches over the wire, from life to life of the server: what it holds, and the
//! order in which it was told.

use std::collections::BTreeMap;

use readstates::proto::{Cause, ListRequest, ReadState, WatchRequest, WatchResponse, WatchTarget};
use tonic::Status;

use crate::node::Client;

/// What it holds of each user.
pub struct Follower {
    copies: BTreeMap<u64, Copy>,
    /// Events that it took in.
    pub events: u64,
}

/// A channel, or what else a state may be about.
type Place = (i32, u64);

#[derive(Default)]
struct Copy {
    states: BTreeMap<Place, ReadState>,
    version: u64,
    /// Since this stream began.
    is_live: bool,
}

impl Copy {
    /// Versions rise, but for the ends of catch-ups and where all is told anew.
    fn take(&mut self, event: &WatchResponse) {
        let rises = match event.cause() {
            Cause::CaughtUp => event.version >= self.version,
            Cause::Resync => event.version == 0 || event.version > self.version,
            Cause::CatchUp => event.version > self.version && !self.is_live,
            _ => event.version > self.version && self.is_live,
        };
        assert!(rises, "{event:?} after {}, live {}", self.version, self.is_live);
        self.version = event.version;
        match (event.cause(), event.state) {
            (Cause::CaughtUp, _) => self.is_live = true,
            (Cause::Resync, _) => {
                self.is_live &= event.version > 0;
                self.states.clear();
            }
            (_, state) => {
                let state = state.expect("the whole state");
                self.states.insert((state.r#type, state.channel_id), state);
            }
        }
    }
}

impl Follower {
    pub fn new(users: u64) -> Self {
        Self { copies: (1..=users).map(|user| (user, Copy::default())).collect(), events: 0 }
    }

    /// Watches everybody from where it is, until `enough` or the end of the stream.
    async fn watch(
        &mut self,
        client: &mut Client,
        enough: impl Fn(&Self) -> bool,
    ) -> Result<(), Status> {
        self.copies.values_mut().for_each(|copy| copy.is_live = false);
        let target = |(user, copy): (&u64, &Copy)| WatchTarget {
            user_id: *user,
            since_version: copy.version,
            from_now: false,
        };
        let targets = self.copies.iter().map(target).collect();
        let mut stream = client.watch(WatchRequest { targets }).await?.into_inner();
        while !enough(self) {
            let Some(event) = stream.message().await? else { return Ok(()) };
            self.copies.get_mut(&event.user_id).expect("it is watched").take(&event);
            self.events += 1;
        }
        Ok(())
    }

    /// Follows until the server is gone; streams that are ended for other reasons are resumed.
    pub async fn follow(mut self, mut client: Client) -> Self {
        loop {
            let ended = self.watch(&mut client, |_| false).await;
            let ended = ended.expect_err("a stream ends with a word");
            if ended.code() != tonic::Code::ResourceExhausted {
                return self;
            }
        }
    }

    /// Catches up with a server that nobody changes meanwhile, and compares.
    pub async fn compare(&mut self, client: &mut Client) {
        let is_live = |follower: &Self| follower.copies.values().all(|copy| copy.is_live);
        self.watch(client, is_live).await.expect("it catches up");
        for (user, copy) in &self.copies {
            let request = ListRequest { user_id: *user, page_size: 10_000, ..Default::default() };
            let listed = client.list(request).await.expect("it lists").into_inner().states;
            let held: Vec<ReadState> =
                copy.states.values().filter(|state| !state.deleted).copied().collect();
            assert_eq!(held, listed, "user {user}, resumed from {}", copy.version);
        }
    }
}
