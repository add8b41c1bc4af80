//! Where the marks of a shard lie: in chunks that never move, with the lists of those to be flushed
//! threaded through them. A mark costs its slot, and no allocation once the slab has grown.

use std::{
    hint::black_box,
    ops::{Index, IndexMut},
};

use crate::model::{Key, Sequence};

/// Slots that are allocated together: few enough that growing is no stall.
const CHUNK_SLOTS: usize = 256;

/// The place of a mark, for as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u32);

impl Place {
    /// No place: the end of a list.
    pub const NONE: Self = Self(u32::MAX);

    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// Neighbours in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub before: Place,
    pub after: Place,
}

impl Links {
    pub const NONE: Self = Self { before: Place::NONE, after: Place::NONE };
}

/// Where a mark is on its way to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing is here: a slot to be used.
    Free,
    /// It waits until it is due.
    Waiting,
    /// It waits, and came back to that later than in the order of its age.
    Again,
    /// It goes as soon as may be.
    Soon,
    /// It is in a commit; at most one at a time (I12).
    InFlight,
}

/// A state that the store does not have yet.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub key: Key,
    /// When its first unflushed change was made.
    pub since_ms: u64,
    /// The record of that change, or one before it: from here on the journal is needed (I9).
    pub first: Sequence,
    /// The record of its last change: until that is durable, nobody is shown the state (I8).
    pub latest: Sequence,
    /// Among those of its stage.
    pub queue: Links,
    /// Among those of its user.
    pub mates: Links,
    pub stage: Stage,
    /// It was evicted: nothing but its commit keeps it in memory.
    pub urgent: bool,
}

// One cache line and a bit; `DIRTY_BYTES` counts on it.
const _: () = assert!(size_of::<Mark>() <= 72);

impl Mark {
    fn free() -> Self {
        Self {
            key: Key::MAX,
            since_ms: 0,
            first: Sequence::ZERO,
            latest: Sequence::ZERO,
            queue: Links::NONE,
            mates: Links::NONE,
            stage: Stage::Free,
            urgent: false,
        }
    }
}

/// Marks by their places.
#[derive(Debug)]
pub(super) struct Slab {
    chunks: Vec<Box<[Mark]>>,
    /// The free ones. Not threaded through them: whoever takes one would wait for its cache miss
    /// to learn which is the next.
    free: Vec<Place>,
}

impl Slab {
    pub fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.chunks.len() * CHUNK_SLOTS - self.free.len()
    }

    pub fn insert(&mut self, mark: Mark) -> Place {
        let place = self.free.pop().unwrap_or_else(|| self.grow());
        self[place] = mark;
        place
    }

    /// The first place of a new chunk; the others are free.
    fn grow(&mut self) -> Place {
        let first = (self.chunks.len() * CHUNK_SLOTS) as u32;
        self.chunks.push((0..CHUNK_SLOTS).map(|_| Mark::free()).collect());
        // Room for all there are: a place that is given back is no allocation.
        self.free.reserve(self.chunks.len() * CHUNK_SLOTS - self.free.len());
        self.free.extend((first + 1..first + CHUNK_SLOTS as u32).rev().map(Place));
        Place(first)
    }

    /// Brings near the place that is given out next.
    pub fn look_up_free(&self) {
        black_box(self.free.last().map(|place| self[*place].stage));
    }

    pub fn remove(&mut self, place: Place) -> Mark {
        self.free.push(place);
        std::mem::replace(&mut self[place], Mark::free())
    }

    /// The marks at the next `limit` places from `step * limit` on; `None` behind the last place.
    pub fn at_step(&self, step: usize, limit: usize) -> Option<impl Iterator<Item = &Mark>> {
        let places = step * limit..((step + 1) * limit).min(self.chunks.len() * CHUNK_SLOTS);
        let marks = (!places.is_empty()).then_some(places)?;
        let marks = marks.map(|place| &self[Place(place as u32)]);
        Some(marks.filter(|mark| mark.stage != Stage::Free))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.chunks.iter().flatten().filter(|mark| mark.stage != Stage::Free)
    }
}

impl Index<Place> for Slab {
    type Output = Mark;

    fn index(&self, place: Place) -> &Mark {
        &self.chunks[place.0 as usize / CHUNK_SLOTS][place.0 as usize % CHUNK_SLOTS]
    }
}

impl IndexMut<Place> for Slab {
    fn index_mut(&mut self, place: Place) -> &mut Mark {
        &mut self.chunks[place.0 as usize / CHUNK_SLOTS][place.0 as usize % CHUNK_SLOTS]
    }
}

/// Marks in the order in which they came.
#[derive(Debug)]
pub(super) struct Queue {
    stage: Stage,
    first: Place,
    last: Place,
}

impl Queue {
    /// For marks of this stage.
    pub fn new(stage: Stage) -> Self {
        Self { stage, first: Place::NONE, last: Place::NONE }
    }

    pub fn first(&self) -> Place {
        self.first
    }

    pub fn push(&mut self, slab: &mut Slab, place: Place) {
        let mark = &mut slab[place];
        mark.stage = self.stage;
        mark.queue = Links { before: self.last, after: Place::NONE };
        match self.last.is_some() {
            true => slab[self.last].queue.after = place,
            false => self.first = place,
        }
        self.last = place;
    }

    /// Takes a mark out that is in this queue.
    pub fn take(&mut self, slab: &mut Slab, place: Place) {
        let Links { before, after } = std::mem::replace(&mut slab[place].queue, Links::NONE);
        match before.is_some() {
            true => slab[before].queue.after = after,
            false => self.first = after,
        }
        match after.is_some() {
            true => slab[after].queue.before = before,
            false => self.last = before,
        }
    }

    pub fn iter<'a>(&self, slab: &'a Slab) -> impl Iterator<Item = &'a Mark> {
        let mut place = self.first;
        std::iter::from_fn(move || {
            let mark = place.is_some().then(|| &slab[place])?;
            place = mark.queue.after;
            Some(mark)
        })
    }
}
