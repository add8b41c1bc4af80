//! How much is taken on at once. What is too much is refused, the costliest first, so that what was
//! taken on is answered in time.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Response};
use prometheus::{IntCounter, IntGauge};
use rand::Rng as _;
use tonic::{Status, body::Body};

use super::{
    deadline::Deadline,
    pace::{Pace, PaceBounds, Pause},
    reason::Reason,
    share::{Share, has_room},
    status::Failure,
};
use crate::{lifecycle::Lifecycle, metrics::Metrics};

/// How many pauses refusals ask for, so that those who were refused together do not come back
/// together.
const PAUSES: u64 = 8;
/// The shortest of them, and how far they lie apart.
const PAUSE_MIN_MS: u64 = 50;
const PAUSE_STEP_MS: u64 = 25;
/// Watches of health that a connection may have whatever others have: whoever can connect may have
/// them, and who looks after a connection that way needs one. What a proxy has beyond is a stream.
const PROBE_STREAMS_MAX: usize = 2;

/// What a call costs, and how soon it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Health: never refused, or the server would be restarted for being busy.
    Probe,
    /// One state written: refused last.
    Write,
    /// One state read: refused where three quarters of the places are taken.
    Read,
    /// Many states: refused where half of the places are taken, and bounded by itself.
    Bulk,
    /// Goes on for as long as its caller likes: bounded by itself.
    Stream,
    /// Watches health: of each connection the first few are always taken on.
    ProbeStream,
}

impl Class {
    /// Whether it goes on for as long as its caller likes.
    pub fn is_stream(self) -> bool {
        matches!(self, Self::Stream | Self::ProbeStream)
    }

    /// Of the call to this path.
    pub fn of(path: &str) -> Self {
        let Some((service, method)) = path.rsplit_once('/') else { return Self::Read };
        match (service, method) {
            ("/grpc.health.v1.Health", "Watch") => Self::ProbeStream,
            ("/grpc.health.v1.Health", _) => Self::Probe,
            (
                "/readstates.v1.ReadStatesService",
                "Ack" | "Increment" | "Reset" | "MarkUnread" | "AckPins" | "Delete",
            ) => Self::Write,
            ("/readstates.v1.ReadStatesService", "Get") => Self::Read,
            ("/readstates.v1.ReadStatesService", "ApplyStream" | "Watch")
            | ("/readstates.v1.MaintenanceService", "Dump" | "Verify") => Self::Stream,
            ("/readstates.v1.ReadStatesService" | "/readstates.v1.MaintenanceService", _) => {
                Self::Bulk
            }
            // Reflection, and what is not there.
            _ => Self::Stream,
        }
    }
}

/// What is taken on at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Calls at once, streams not counted.
    pub in_flight: usize,
    /// Of them, those about many states.
    pub bulk_in_flight: usize,
    /// Streams at once.
    pub streams: usize,
    /// Bytes of answers that callers have yet to take; beyond it nothing more is asked for that
    /// has long answers.
    pub waiting_bytes: i64,
    /// Refusals of what is too much.
    pub refusals: PaceBounds,
}

/// Says whether a call is taken on; clones share it.
#[derive(Clone)]
pub struct Admission(Arc<Shared>);

struct Shared {
    bounds: Bounds,
    calls: AtomicUsize,
    bulk: AtomicUsize,
    streams: AtomicUsize,
    short_of_memory: AtomicBool,
    waiting_bytes: IntGauge,
    refused: Refused,
    refusals: Vec<HeaderMap>,
    pace: Pace,
}

/// Counts by what was too much.
struct Refused {
    share: IntCounter,
    in_flight: IntCounter,
    bulk_in_flight: IntCounter,
    streams: IntCounter,
    waiting_bytes: IntCounter,
    memory: IntCounter,
}

impl Admission {
    /// Takes on as much as `bounds` say. No refusal waits any more once `life` drains.
    pub fn new(bounds: Bounds, metrics: &Metrics, life: Lifecycle) -> Self {
        let counts = &metrics.rejections;
        let refused = Refused {
            share: counts.share.clone(),
            in_flight: counts.in_flight.clone(),
            bulk_in_flight: counts.bulk_in_flight.clone(),
            streams: counts.streams.clone(),
            waiting_bytes: counts.waiting_bytes.clone(),
            memory: counts.memory.clone(),
        };
        Self(Arc::new(Shared {
            bounds,
            calls: AtomicUsize::new(0),
            bulk: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            short_of_memory: AtomicBool::new(false),
            waiting_bytes: metrics.connections.waiting_bytes.clone(),
            refused,
            refusals: (0..PAUSES).map(refusal).collect(),
            pace: Pace::new(bounds.refusals, counts.waiting.clone(), life),
        }))
    }

    /// Says whether the process is about to have more memory than it may. Then only calls about
    /// one state are taken on.
    pub fn short_of_memory(&self, is_short: bool) {
        self.0.short_of_memory.store(is_short, Ordering::Relaxed);
    }

    /// A place for a call of the connection that has this share, or what it is answered.
    pub(super) fn admit(
        &self,
        class: Class,
        of: &Share,
        deadline: &Deadline,
    ) -> Result<Place, Box<Refusal>> {
        self.place(class, of).map_err(|refused| {
            refused.inc();
            // Who waits takes memory, and streams go on to send while they do.
            let is_soon = class.is_stream() || self.0.short_of_memory.load(Ordering::Relaxed);
            let pause = if is_soon { None } else { self.0.pace.pause(of, deadline) };
            Box::new(Refusal { answer: self.answer(), pause })
        })
    }

    /// The counts are compared and raised in two steps: calls of several threads that come in the
    /// same moment may be a few more than the bound.
    fn place(&self, class: Class, of: &Share) -> Result<Place, &IntCounter> {
        let Shared { bounds, refused, .. } = &*self.0;
        let class = match class {
            Class::ProbeStream
                if of.probe_streams().load(Ordering::Relaxed) >= PROBE_STREAMS_MAX =>
            {
                Class::Stream
            }
            class => class,
        };
        let is_heavy = matches!(class, Class::Bulk | Class::Stream);
        if is_heavy && self.0.short_of_memory.load(Ordering::Relaxed) {
            return Err(&refused.memory);
        }
        let calls_max = match class {
            Class::Probe => return Ok(Place { held: None, class }),
            Class::Stream => return self.stream(of),
            Class::ProbeStream => return Ok(self.take(class, of)),
            Class::Write => bounds.in_flight,
            Class::Read => bounds.in_flight - bounds.in_flight / 4,
            Class::Bulk => bounds.in_flight - bounds.in_flight / 2,
        };
        let taken = self.0.calls.load(Ordering::Relaxed);
        if taken >= calls_max {
            return Err(&refused.in_flight);
        }
        if !has_room(of.calls(), taken, bounds.in_flight) {
            return Err(&refused.share);
        }
        if class == Class::Bulk {
            let bulk = self.0.bulk.load(Ordering::Relaxed);
            if bulk >= bounds.bulk_in_flight {
                return Err(&refused.bulk_in_flight);
            }
            if !has_room(of.bulk(), bulk, bounds.bulk_in_flight) {
                return Err(&refused.share);
            }
            if self.0.waiting_bytes.get() >= bounds.waiting_bytes {
                return Err(&refused.waiting_bytes);
            }
        }
        Ok(self.take(class, of))
    }

    fn stream(&self, of: &Share) -> Result<Place, &IntCounter> {
        let Shared { bounds, refused, streams, .. } = &*self.0;
        let taken = streams.load(Ordering::Relaxed);
        if taken >= bounds.streams {
            return Err(&refused.streams);
        }
        if !has_room(of.streams(), taken, bounds.streams) {
            return Err(&refused.share);
        }
        Ok(self.take(Class::Stream, of))
    }

    fn take(&self, class: Class, of: &Share) -> Place {
        for count in self.counts(class, of) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Place { held: Some((self.clone(), of.clone())), class }
    }

    fn counts<'a>(&'a self, class: Class, of: &'a Share) -> impl Iterator<Item = &'a AtomicUsize> {
        let Shared { calls, bulk, streams, .. } = &*self.0;
        let counts = match class {
            Class::Probe => [None; 4],
            Class::Write | Class::Read => [Some(calls), Some(of.calls()), None, None],
            Class::Bulk => [Some(calls), Some(of.calls()), Some(bulk), Some(of.bulk())],
            Class::Stream => [Some(streams), Some(of.streams()), None, None],
            Class::ProbeStream => [Some(of.probe_streams()), None, None, None],
        };
        counts.into_iter().flatten()
    }

    /// Made beforehand: under overload it is what is answered most.
    fn answer(&self) -> Response<Body> {
        let pause = rand::rng().random_range(0..self.0.refusals.len());
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = self.0.refusals[pause].clone();
        response
    }
}

fn refusal(pause: u64) -> HeaderMap {
    let message = "as much as this server takes on at once is under way; come back after a pause";
    let pause_ms = PAUSE_MIN_MS + pause * PAUSE_STEP_MS;
    let failure = Failure::new(Reason::TooManyRequests, message).after_ms(pause_ms);
    Status::from(failure).into_http::<Body>().into_parts().0.headers
}

/// What a call is answered that is not taken on, and when.
pub(super) struct Refusal {
    answer: Response<Body>,
    pause: Option<Pause>,
}

impl Refusal {
    /// One that is told at once.
    pub fn at_once(answer: Response<Body>) -> Self {
        Self { answer, pause: None }
    }

    /// Ready once, with the answer.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Response<Body>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.poll(context));
        }
        self.pause = None;
        Poll::Ready(mem::take(&mut self.answer))
    }
}

/// The place of a call, free again once this is dropped.
pub(super) struct Place {
    held: Option<(Admission, Share)>,
    class: Class,
}

impl Place {
    pub fn class(&self) -> Class {
        self.class
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((admission, share)) = &self.held else { return };
        for count in admission.counts(self.class, share) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
impl Admission {
    /// Takes on whatever comes.
    pub(super) fn of_all(metrics: &Metrics) -> Self {
        let max = usize::MAX;
        let refusals = PaceBounds { per_second: 1, waiting: 0, streams_of_connection: 0 };
        let bounds = Bounds {
            in_flight: max,
            bulk_in_flight: max,
            streams: max,
            waiting_bytes: i64::MAX,
            refusals,
        };
        Self::new(bounds, metrics, Lifecycle::new())
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn admission(bounds: Bounds) -> (Admission, Metrics) {
        let metrics = Metrics::new().expect("names");
        (Admission::new(bounds, &metrics, Lifecycle::new()), metrics)
    }

    const BOUNDS: Bounds = Bounds {
        in_flight: 8,
        bulk_in_flight: 2,
        streams: 3,
        waiting_bytes: 1000,
        refusals: PaceBounds { per_second: 1000, waiting: 1, streams_of_connection: 2 },
    };

    /// Of as many connections.
    fn fill(admission: &Admission, class: Class) -> Vec<Place> {
        std::iter::from_fn(|| admit(admission, class).ok()).take(100).collect()
    }

    fn admit(admission: &Admission, class: Class) -> Result<Place, Box<Refusal>> {
        admit_of(admission, class, &Share::default())
    }

    fn admit_of(admission: &Admission, class: Class, of: &Share) -> Result<Place, Box<Refusal>> {
        admission.admit(class, of, &Deadline::new(&HeaderMap::new(), None))
    }

    #[test]
    fn the_costliest_are_refused_first_and_health_never() {
        let (admission, metrics) = admission(BOUNDS);
        let bulk = fill(&admission, Class::Bulk);
        assert_eq!((bulk.len(), metrics.rejections.bulk_in_flight.get()), (2, 1));
        let reads = fill(&admission, Class::Read);
        assert_eq!((reads.len(), metrics.rejections.in_flight.get()), (4, 1));
        let writes = fill(&admission, Class::Write);
        assert_eq!((writes.len(), metrics.rejections.in_flight.get()), (2, 2));
        assert_eq!(fill(&admission, Class::Probe).len(), 100);
        assert_eq!(fill(&admission, Class::Stream).len(), 3);
        drop(bulk);
        assert!(admit(&admission, Class::Bulk).is_err(), "half of the places are taken");
        drop((reads, writes));
        assert_eq!(fill(&admission, Class::Bulk).len(), 2);
    }

    #[test]
    fn a_connection_has_no_more_than_it_leaves_to_all_others() {
        let (admission, metrics) = admission(BOUNDS);
        let fill = |class, of: &Share| -> Vec<Place> {
            std::iter::from_fn(|| admit_of(&admission, class, of).ok()).take(100).collect()
        };
        let (greedy, other) = (Share::default(), Share::default());
        let calls = fill(Class::Write, &greedy);
        assert_eq!((calls.len(), metrics.rejections.share.get()), (4, 1));
        assert_eq!(fill(Class::Stream, &greedy).len(), 2);
        let others = fill(Class::Read, &other);
        // A connection that has little is refused only where the class is.
        let refused = (metrics.rejections.share.get(), metrics.rejections.in_flight.get());
        assert_eq!((others.len(), refused), (2, (2, 1)));
        assert_eq!(fill(Class::Probe, &greedy).len(), 100);
        drop(calls);
        assert_eq!(fill(Class::Write, &greedy).len(), 3);
        drop(others);
        assert_eq!(fill(Class::Write, &greedy).len(), 4, "what is given back can be had again");
        let bulk = fill(Class::Bulk, &greedy);
        assert_eq!((bulk.len(), fill(Class::Bulk, &other).len()), (1, 1), "half of two");
    }

    #[test]
    fn where_answers_pile_up_or_memory_is_short_only_single_states_are_served() {
        let (admission, metrics) = admission(BOUNDS);
        metrics.connections.waiting_bytes.set(1000);
        assert!(admit(&admission, Class::Bulk).is_err());
        assert_eq!(metrics.rejections.waiting_bytes.get(), 1);
        assert!(admit(&admission, Class::Write).is_ok());
        metrics.connections.waiting_bytes.set(999);
        assert!(admit(&admission, Class::Bulk).is_ok());
        admission.short_of_memory(true);
        assert!(
            admit(&admission, Class::Bulk).is_err() && admit(&admission, Class::Stream).is_err()
        );
        for class in [Class::Write, Class::Read, Class::Probe, Class::ProbeStream] {
            assert!(admit(&admission, class).is_ok(), "{class:?}");
        }
        assert_eq!(metrics.rejections.memory.get(), 2);
    }

    #[test]
    fn of_each_connection_two_watches_of_health_take_no_place_of_others() {
        let (admission, metrics) = admission(BOUNDS);
        let connections: Vec<Share> = (0..1000).map(|_| Share::default()).collect();
        let probe = |of| admit_of(&admission, Class::ProbeStream, of).ok();
        let held: Vec<Place> =
            connections.iter().flat_map(|of| [probe(of), probe(of)]).flatten().collect();
        assert_eq!(held.len(), 2000);
        // What they have beyond is as other streams.
        let more: Vec<Place> = connections.iter().filter_map(probe).collect();
        assert_eq!((more.len(), metrics.rejections.streams.get()), (3, 997));
        drop(more);
        assert_eq!(fill(&admission, Class::Stream).len(), 3);
        drop(held);
        assert!(connections.iter().all(|of| of.probe_streams().load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let (admission, _) = admission(Bounds { in_flight: 0, ..BOUNDS });
        let answer = admit(&admission, Class::Write).err().expect("no place").answer;
        let status = Status::from_header_map(answer.headers()).expect("a status");
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("a pause");
        let pause_ms: u64 = pushback.to_str().expect("text").parse().expect("a number");
        assert!((50..=225).contains(&pause_ms), "{pause_ms}");
        let details = tonic_types::StatusExt::get_error_details(&status);
        let delay = details.retry_info().and_then(|info| info.retry_delay).expect("a delay");
        assert_eq!(delay.as_millis() as u64, pause_ms);
    }

    #[test]
    fn what_streams_its_answers_is_bounded_as_a_stream() {
        let set = prost_types::FileDescriptorSet::decode(crate::proto::FILE_DESCRIPTOR_SET);
        let files = set.expect("descriptors").file;
        let mut streams = 0;
        for (file, service) in files.iter().flat_map(|f| f.service.iter().map(move |s| (f, s))) {
            for method in service.method.iter().filter(|method| method.server_streaming()) {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                assert_eq!(Class::of(&path), Class::Stream, "{path}");
                streams += 1;
            }
        }
        assert!(streams > 0);
    }

    #[test]
    fn every_call_has_its_class() {
        for (path, class) in [
            ("/grpc.health.v1.Health/Check", Class::Probe),
            ("/grpc.health.v1.Health/Watch", Class::ProbeStream),
            ("/readstates.v1.ReadStatesService/Ack", Class::Write),
            ("/readstates.v1.ReadStatesService/Get", Class::Read),
            ("/readstates.v1.ReadStatesService/FanOut", Class::Bulk),
            ("/readstates.v1.ReadStatesService/Watch", Class::Stream),
            ("/readstates.v1.MaintenanceService/Load", Class::Bulk),
            ("/readstates.v1.MaintenanceService/Dump", Class::Stream),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Class::Stream),
        ] {
            assert_eq!(Class::of(path), class, "{path}");
        }
    }
}
