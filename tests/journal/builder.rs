//! Writes journals group by group with the public functions of the format, so that a test knows
//! each byte's place and can leave out what a whole journal has.

use readstates::{
    journal::{
        Disk, DiskFile, Home, JournalId, Link, Manifest, Record, SEGMENT_HEADER_BYTES,
        SegmentHeader, SegmentId, SimulatedDisk, Spare, close_group, group_bytes, open_group,
        put_next,
    },
    model::{Sequence, Version},
    store::CommitNumber,
};

pub const JOURNAL: JournalId = JournalId(0x0123_4567_89ab_cdef);
pub const STORE: u64 = 77;

/// Room that the mark of a segment's end takes.
const MARK_BYTES: u64 = group_bytes(3 + 8) as u64;

pub struct Builder {
    pub disk: SimulatedDisk,
    segment_bytes: u64,
    file: Box<dyn DiskFile>,
    pub end: Link,
    pub manifest: Manifest,
    /// Every record with its sequence.
    pub records: Vec<(Sequence, Record)>,
    /// Where the groups of each segment before this one end.
    pub ends: Vec<u64>,
    /// Of each group: its segment, its place in it, its first record.
    pub groups: Vec<(SegmentId, u64, Sequence)>,
}

impl Builder {
    pub fn new(segment_bytes: u64) -> Self {
        Self::of(JOURNAL, segment_bytes)
    }

    pub fn of(journal: JournalId, segment_bytes: u64) -> Self {
        let disk = SimulatedDisk::default();
        let manifest = Manifest {
            journal,
            store: STORE,
            horizon: Sequence::ZERO,
            commits: CommitNumber(0),
            oldest: SegmentId(1),
            newest: SegmentId::NONE,
            ceiling: Version::ZERO,
        };
        manifest.write(&disk).expect("no fault is set");
        let file = begin_segment(&disk, &manifest, Link::default(), SegmentId(1), segment_bytes);
        let end = Link { segment: SegmentId(1), ..empty_link() };
        let (records, ends, groups) = (Vec::new(), Vec::new(), Vec::new());
        let mut builder = Self { disk, segment_bytes, file, end, manifest, records, ends, groups };
        builder.manifest.newest = SegmentId(1);
        builder.write_manifest();
        builder
    }

    /// Appends a group, in a new segment where it does not fit into this one.
    pub fn group(&mut self, records: &[Record]) {
        let mut group = Vec::new();
        open_group(&mut group);
        for record in records {
            record.encode_into(&mut group);
            if let Record::Ceiling(ceiling) = record {
                self.manifest.ceiling = *ceiling;
            }
        }
        if !self.fits(group.len() - 32) {
            self.roll();
        }
        let first = self.end.last.next();
        let group_crc = close_group(&mut group, self.home(), first, records.len() as u32);
        self.write(self.end.end, &group);
        self.groups.push((self.end.segment, self.end.end, first));
        for record in records {
            self.end.last = self.end.last.next();
            self.records.push((self.end.last, record.clone()));
        }
        self.end = Link { end: self.end.end + group.len() as u64, group_crc, ..self.end };
    }

    pub fn fits(&self, payload_bytes: usize) -> bool {
        self.room() >= payload_bytes as u64
    }

    /// Bytes of payload that a group in this segment can have.
    pub fn room(&self) -> u64 {
        self.segment_bytes.saturating_sub(self.end.end + MARK_BYTES + 32)
    }

    /// Goes on in a new segment, as a writer does.
    pub fn roll(&mut self) {
        let mark = self.mark();
        let old = self.begin();
        old.0.write_at(old.1.end, &mark).expect("no fault is set");
        old.0.sync_data().expect("no fault is set");
    }

    /// Goes on in a new segment, as an opening does: without a mark in the old one.
    pub fn begin(&mut self) -> (Box<dyn DiskFile>, Link) {
        let next = self.end.segment.next().expect("a few were begun");
        let file = begin_segment(&self.disk, &self.manifest, self.end, next, self.segment_bytes);
        self.ends.push(self.end.end);
        let old = (std::mem::replace(&mut self.file, file), self.end);
        self.end = Link { segment: next, last: self.end.last, ..empty_link() };
        old
    }

    /// The mark that ends this segment.
    pub fn mark(&self) -> Vec<u8> {
        let mut mark = Vec::new();
        open_group(&mut mark);
        put_next(&mut mark, self.end.segment.next().expect("a few were begun"));
        close_group(&mut mark, self.home(), self.end.last.next(), 0);
        mark
    }

    /// Says in the manifest what the store has by now.
    pub fn advance(&mut self, horizon: Sequence, commits: u64) {
        (self.manifest.horizon, self.manifest.commits) = (horizon, CommitNumber(commits));
        self.manifest.newest = self.end.segment;
        self.write_manifest();
    }

    /// Removes the segments before `oldest`.
    pub fn free(&mut self, oldest: SegmentId) {
        let gone = self.manifest.oldest.0..oldest.0;
        self.manifest.oldest = oldest;
        self.write_manifest();
        for id in gone {
            self.disk.remove(&SegmentId(id).file_name()).expect("no fault is set");
        }
        self.disk.sync().expect("no fault is set");
    }

    pub fn write_manifest(&self) {
        self.manifest.write(&self.disk).expect("no fault is set");
    }

    /// Writes and syncs bytes in the current segment, whatever they are.
    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.file.write_at(at, bytes).expect("no fault is set");
        self.file.sync_data().expect("no fault is set");
    }

    pub fn home(&self) -> Home {
        Home { journal: self.manifest.journal, segment: self.end.segment }
    }
}

fn empty_link() -> Link {
    Link { end: SEGMENT_HEADER_BYTES as u64, ..Link::default() }
}

pub fn begin_segment(
    disk: &SimulatedDisk,
    manifest: &Manifest,
    previous: Link,
    segment: SegmentId,
    segment_bytes: u64,
) -> Box<dyn DiskFile> {
    let header = SegmentHeader {
        journal: manifest.journal,
        segment,
        segment_bytes,
        first: previous.last.next(),
        ceiling: manifest.ceiling,
        horizon: manifest.horizon,
        commits: manifest.commits,
        previous,
        repaired: false,
    };
    Spare::prepare(disk, segment_bytes)
        .expect("no fault is set")
        .take_place(disk, header)
        .expect("no fault is set")
}
