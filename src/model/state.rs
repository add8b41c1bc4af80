//! The read state itself, in the 32 bytes that the cache keeps of it.

use super::{Extra, Version};

const MARKED_UNREAD: u32 = 1;
const INEXACT: u32 = 1 << 1;
const DELETED: u32 = 1 << 2;
const MARKED_BY_HOLDER: u32 = 1 << 3;
const FLAGS_SHIFT: u32 = 4;
const FLAGS_MASK: u32 = 0b111 << FLAGS_SHIFT;
/// Flags up to this one are kept in the bits: Discord's guild, thread and low-importance.
const NARROW_FLAGS_MAX: u32 = 0b111;
const DAY_SHIFT: u32 = 8;
const NEAR_DAY_MAX: u32 = (1 << 24) - 1;

/// One user's read state: the watermark and the mentions above it.
///
/// The default is a state that does not exist: version 0, nothing read, nothing waiting. A state
/// that was deleted is a tombstone: everything but its version is back at the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadState {
    last_acked_id: u64,
    version: Version,
    mention_count: u32,
    /// 24 bits of day above 8 bits: the dot, inexact, deleted, the holder's mark, three flags.
    day_and_bits: u32,
    extra: Option<Box<Extra>>,
}

// One cache entry is a key of 16 bytes, this, and two links: 64 bytes, one size class.
const _: () = assert!(size_of::<ReadState>() == 32);

/// What an answer shows of a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the contract")]
pub struct View {
    pub version: Version,
    pub deleted: bool,
    pub last_acked_id: u64,
    pub mention_count: u32,
    pub marked_unread: bool,
    pub mentions_exact: bool,
    pub flags: u32,
    pub last_viewed_day: u32,
    pub last_pin_ack_ms: u64,
}

impl View {
    /// Whether there is a state, rather than nothing or a tombstone.
    pub fn exists(&self) -> bool {
        self.version != Version::ZERO && !self.deleted
    }
}

impl ReadState {
    /// The tombstone of a state deleted at `version`.
    pub fn tombstone(version: Version) -> Self {
        Self { version, day_and_bits: DELETED, ..Self::default() }
    }

    /// What an answer shows.
    pub fn view(&self) -> View {
        View {
            version: self.version,
            deleted: self.is_deleted(),
            last_acked_id: self.last_acked_id,
            mention_count: self.mention_count,
            marked_unread: self.marked_unread(),
            mentions_exact: self.mentions_exact(),
            flags: self.flags(),
            last_viewed_day: self.last_viewed_day(),
            last_pin_ack_ms: self.last_pin_ack_ms(),
        }
    }

    /// The watermark; 0 means nothing is read.
    pub fn last_acked_id(&self) -> u64 {
        self.last_acked_id
    }

    /// Of the last change; 0 for a state that does not exist.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Stamps the state. The caller keeps versions rising (I7).
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Unread mentions, saturating.
    pub fn mention_count(&self) -> u32 {
        self.mention_count
    }

    /// Whether there is a state, rather than nothing or a tombstone.
    pub fn exists(&self) -> bool {
        self.version != Version::ZERO && !self.is_deleted()
    }

    /// Whether this is a tombstone.
    pub fn is_deleted(&self) -> bool {
        self.day_and_bits & DELETED != 0
    }

    /// The user's own dot.
    pub fn marked_unread(&self) -> bool {
        self.day_and_bits & MARKED_UNREAD != 0
    }

    /// Whether the count is known to be the count by ids.
    pub fn mentions_exact(&self) -> bool {
        self.day_and_bits & INEXACT == 0
    }

    /// The caller's bits.
    pub fn flags(&self) -> u32 {
        match &self.extra {
            Some(extra) if extra.wide_flags != 0 => extra.wide_flags,
            _ => (self.day_and_bits & FLAGS_MASK) >> FLAGS_SHIFT,
        }
    }

    /// Days since 2015-01-01 UTC.
    pub fn last_viewed_day(&self) -> u32 {
        match &self.extra {
            Some(extra) if extra.far_day != 0 => extra.far_day,
            _ => self.day_and_bits >> DAY_SHIFT,
        }
    }

    /// The watermark for pins, in milliseconds since the Unix epoch.
    pub fn last_pin_ack_ms(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.last_pin_ack_ms)
    }

    /// Mentions without a position.
    pub fn unpositioned(&self) -> u32 {
        self.extra.as_ref().map_or(self.mention_count, |extra| extra.unpositioned)
    }

    /// What only few states have.
    pub fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    /// Bytes on the heap beyond the 32, charged against the cache.
    pub fn extra_bytes(&self) -> usize {
        self.extra.as_ref().map_or(0, |extra| extra.bytes())
    }

    /// Takes the heap part out, so that it can be freed after a lock is released.
    pub fn into_extra(self) -> Option<Box<Extra>> {
        self.extra
    }

    /// A bit that belongs to whoever holds the state: no rule reads it, no row keeps it.
    pub fn holder_mark(&self) -> bool {
        self.day_and_bits & MARKED_BY_HOLDER != 0
    }

    /// Sets the holder's bit.
    pub fn set_holder_mark(&mut self, mark: bool) {
        self.set_bit(MARKED_BY_HOLDER, mark);
    }

    fn set_bit(&mut self, bit: u32, on: bool) {
        if on {
            self.day_and_bits |= bit;
        } else {
            self.day_and_bits &= !bit;
        }
    }

    pub(super) fn set_bits(&mut self, deleted: bool, marked_unread: bool, inexact: bool) {
        self.set_bit(DELETED, deleted);
        self.set_marked_unread(marked_unread);
        self.set_inexact(inexact);
    }

    pub(super) fn set_marked_unread(&mut self, on: bool) {
        self.set_bit(MARKED_UNREAD, on);
    }

    pub(super) fn set_inexact(&mut self, on: bool) {
        self.set_bit(INEXACT, on);
    }

    pub(super) fn set_last_acked_id(&mut self, id: u64) {
        self.last_acked_id = id;
    }

    pub(super) fn set_flags(&mut self, flags: u32) {
        let narrow = flags <= NARROW_FLAGS_MAX;
        self.day_and_bits &= !FLAGS_MASK;
        if narrow {
            self.day_and_bits |= flags << FLAGS_SHIFT;
        }
        if !narrow || self.extra.is_some() {
            self.extra_mut().wide_flags = if narrow { 0 } else { flags };
        }
    }

    pub(super) fn set_last_viewed_day(&mut self, day: u32) {
        let near = day <= NEAR_DAY_MAX;
        self.day_and_bits &= (1 << DAY_SHIFT) - 1;
        if near {
            self.day_and_bits |= day << DAY_SHIFT;
        }
        if !near || self.extra.is_some() {
            self.extra_mut().far_day = if near { 0 } else { day };
        }
    }

    pub(super) fn set_unpositioned(&mut self, count: u32) {
        match &mut self.extra {
            Some(extra) => extra.unpositioned = count,
            None => self.mention_count = count,
        }
    }

    /// The heap part, made where there is none. Call [`Self::recount`] when done.
    pub(super) fn extra_mut(&mut self) -> &mut Extra {
        let unpositioned = self.mention_count;
        self.extra.get_or_insert_with(|| Box::new(Extra { unpositioned, ..Extra::default() }))
    }

    pub(super) fn existing_extra_mut(&mut self) -> Option<&mut Extra> {
        self.extra.as_deref_mut()
    }

    /// Sums the count up anew and gives the heap part back once nothing in it is needed.
    pub(super) fn recount(&mut self) -> Option<Box<Extra>> {
        let extra = self.extra.as_ref()?;
        self.mention_count = extra.mention_count();
        if extra.is_idle() { self.extra.take() } else { None }
    }
}
