//! Two devices of one user in a terminal: sign-in, watch, ack, mark unread, reconnect by version.
//!
//! `cargo run` in one terminal, `cargo run --example chat` in another. Type `help`.

use std::collections::BTreeMap;

use readstates::proto::{
    AckRequest, Cause, IncrementRequest, ListRequest, MarkUnreadRequest, ReadState, WatchRequest,
    WatchResponse, WatchTarget, read_states_service_client::ReadStatesServiceClient,
};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tonic::{Status, Streaming, transport::Channel};

type Client = ReadStatesServiceClient<Channel>;
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const USER: u64 = 42;
const HELP: &str = "\
mention C M   message M mentions the user in channel C
ack D C M     device D (1 or 2) reads channel C up to message M
unread D C M  device D marks channel C as unread from behind message M
off D, on D   device D loses its connection, and comes back
show          what each device holds
quit";

/// A device: what it holds, and the version up to which it has heard of everything.
struct Device {
    name: u64,
    states: BTreeMap<(i32, u64), ReadState>,
    version: u64,
    events: Option<Streaming<WatchResponse>>,
}

impl Device {
    /// Signs in: the whole set, page by page, then every change from its version on.
    async fn sign_in(name: u64, client: &mut Client) -> Outcome<Self> {
        let mut device = Self { name, states: BTreeMap::new(), version: 0, events: None };
        let mut request = ListRequest { user_id: USER, ..ListRequest::default() };
        loop {
            let page = client.list(request.clone()).await?.into_inner();
            page.states.into_iter().for_each(|state| device.hold(state));
            device.version = page.version;
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        device.connect(client).await?;
        Ok(device)
    }

    /// Watches from where it left off: what it missed comes first.
    async fn connect(&mut self, client: &mut Client) -> Result<(), Status> {
        let target = WatchTarget { user_id: USER, since_version: self.version, from_now: false };
        let request = WatchRequest { targets: vec![target] };
        self.events = Some(client.watch(request).await?.into_inner());
        Ok(())
    }

    /// The newer version wins, in whatever order they come.
    fn hold(&mut self, state: ReadState) {
        let held = self.states.entry((state.r#type, state.channel_id)).or_default();
        if state.version > held.version {
            *held = state;
        }
    }

    /// The next event; never, without a connection.
    async fn next(&mut self) -> Result<Option<WatchResponse>, Status> {
        match &mut self.events {
            Some(events) => events.message().await,
            None => std::future::pending().await,
        }
    }

    fn take(&mut self, event: Result<Option<WatchResponse>, Status>) {
        let event = match event {
            Ok(Some(event)) => event,
            Ok(None) => return self.events = None,
            Err(status) => {
                println!("device {}: {}; type: on {}", self.name, status.message(), self.name);
                return self.events = None;
            }
        };
        self.version = event.version;
        println!("device {}: {}", self.name, event.cause().as_str_name());
        if event.cause() == Cause::Resync {
            self.states.clear();
        }
        if let Some(state) = event.state {
            self.hold(state);
            show(&state);
        }
    }
}

fn show(state: &ReadState) {
    let dot = if state.marked_unread { ", marked unread" } else { "" };
    let ReadState { channel_id, last_acked_id, mention_count, .. } = state;
    println!("  #{channel_id}: read up to {last_acked_id}, {mention_count} mentions{dot}");
}

async fn obey(line: &str, client: &mut Client, devices: &mut [Device; 2]) -> Result<(), Status> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let numbers: Vec<u64> = words.iter().skip(1).flat_map(|word| word.parse()).collect();
    match (words.first().copied().unwrap_or_default(), numbers.as_slice()) {
        ("mention", &[channel_id, message_id]) => {
            let key = IncrementRequest { user_id: USER, channel_id, ..Default::default() };
            client.increment(IncrementRequest { message_id, ..key }).await?;
        }
        ("ack", &[_, channel_id, message_id]) => {
            let key = AckRequest { user_id: USER, channel_id, ..Default::default() };
            client.ack(AckRequest { message_id, ..key }).await?;
        }
        ("unread", &[_, channel_id, message_id]) => {
            let key = MarkUnreadRequest { user_id: USER, channel_id, ..Default::default() };
            client.mark_unread(MarkUnreadRequest { message_id, ..key }).await?;
        }
        ("off", &[name @ 1..=2]) => devices[name as usize - 1].events = None,
        ("on", &[name @ 1..=2]) => devices[name as usize - 1].connect(client).await?,
        ("show", []) => devices.iter().for_each(|device| {
            println!("device {}:", device.name);
            device.states.values().for_each(show);
        }),
        _ => println!("{HELP}"),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:50051".to_owned());
    let mut client = Client::connect(url).await?;
    let first = Device::sign_in(1, &mut client).await?;
    let mut devices = [first, Device::sign_in(2, &mut client).await?];
    let mut lines = BufReader::new(stdin()).lines();
    loop {
        let [one, two] = &mut devices;
        tokio::select! {
            event = one.next() => one.take(event),
            event = two.next() => two.take(event),
            line = lines.next_line() => match line?.as_deref() {
                None | Some("quit") => return Ok(()),
                Some(line) => obey(line, &mut client, &mut devices).await
                    .unwrap_or_else(|status| println!("refused: {}", status.message())),
            },
        }
    }
}
