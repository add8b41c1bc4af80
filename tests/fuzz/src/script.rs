//! A script, drawn from bytes, that writes the files of a journal and damages them. Checksums are
//! right unless a step damages bytes: what they guard is reached, too.

use std::mem;

use readstates::{
    journal::{
        Disk as _, DiskFile, Home, Image, JournalId, Link, Manifest, Record, SEGMENT_BYTES_MIN,
        SEGMENT_HEADER_BYTES, SegmentHeader, SegmentId, SimulatedDisk, Spare, close_group,
        group_bytes, open_group, put_next,
    },
    model::{Sequence, UserId, Version},
    store::CommitNumber,
};

use crate::{
    draw::Draw,
    row::{draw_key, states},
};

/// Steps of a script at most.
const STEPS_MAX: usize = 48;
/// Segments at most: each takes memory.
const SEGMENTS_MAX: usize = 8;
/// Room that a segment's end mark takes.
const MARK_BYTES: u64 = group_bytes(3 + 8) as u64;

/// Steps as they are drawn, for seeds.
pub mod step {
    /// A group of records; behind it how many, and each.
    pub const GROUP: u8 = 0;
    /// The next segment, as a writer begins it.
    pub const ROLL: u8 = 1;
    /// The next segment, as a start begins it.
    pub const BEGIN: u8 = 2;
    /// A horizon in the manifest; behind it the record and the commit.
    pub const ADVANCE: u8 = 3;
    /// A group of any bytes; behind it its first record, its number of records, and its bytes.
    pub const ODD_GROUP: u8 = 4;
    /// A manifest with any number in it; behind it which, and the number.
    pub const ODD_MANIFEST: u8 = 5;
    /// A segment whose header has any number in it; behind it which, and the number.
    pub const ODD_SEGMENT: u8 = 6;
    /// Other bits at a place; behind it the file, the place, and the bits.
    pub const FLIP: u8 = 7;
    /// The end of a file is gone; behind it the file, and where it ends.
    pub const CUT: u8 = 8;
    /// A file is gone.
    pub const REMOVE: u8 = 9;
    /// Two files have each other's names.
    pub const SWAP: u8 = 10;
    /// A file of any bytes; behind it its name and its bytes.
    pub const STRAY: u8 = 11;
    /// How many there are.
    pub const COUNT: u64 = 12;
}

/// What was written so far.
pub struct Script {
    disk: SimulatedDisk,
    file: Option<Box<dyn DiskFile>>,
    manifest: Manifest,
    end: Link,
    begun: usize,
}

/// The files that a script leaves.
pub fn image(draw: &mut Draw<'_>) -> Image {
    let manifest = Manifest {
        journal: JournalId(0x0123_4567_89ab_cdef),
        store: 77,
        horizon: Sequence::ZERO,
        commits: CommitNumber(0),
        oldest: SegmentId::FIRST,
        newest: SegmentId::NONE,
        ceiling: Version::ZERO,
    };
    let disk = SimulatedDisk::default();
    let mut script = Script { disk, file: None, manifest, end: Link::default(), begun: 0 };
    script.begin(SegmentId::FIRST);
    script.write_manifest();
    for _ in 0..STEPS_MAX {
        if draw.is_done() {
            break;
        }
        script.step(draw);
    }
    script.disk.image()
}

impl Script {
    fn step(&mut self, draw: &mut Draw<'_>) {
        match draw.below(step::COUNT) as u8 {
            step::GROUP => self.group(draw),
            step::ROLL => self.roll(),
            step::BEGIN => self.begin_next(),
            step::ADVANCE => {
                self.manifest.horizon = Sequence::new(draw.number());
                self.manifest.commits = CommitNumber(draw.number());
                self.write_manifest();
            }
            step::ODD_GROUP => {
                let (first, records) = (draw.number(), draw.byte());
                let mut group = opened();
                group.extend_from_slice(draw.piece());
                let first = if first == 0 { self.end.last.next() } else { Sequence::new(first) };
                self.append(group, first, records.into());
            }
            step::ODD_MANIFEST => {
                self.odd_manifest(draw);
                self.write_manifest();
            }
            step::ODD_SEGMENT => self.odd_segment(draw),
            _ => self.damage(draw),
        }
    }

    fn group(&mut self, draw: &mut Draw<'_>) {
        let mut group = opened();
        let count = 1 + draw.below(4);
        for _ in 0..count {
            let record = draw_record(draw);
            if let Record::Ceiling(ceiling) = record {
                self.manifest.ceiling = ceiling;
            }
            record.encode_into(&mut group);
        }
        self.append(group, self.end.last.next(), count as u32);
    }

    fn append(&mut self, mut group: Vec<u8>, first: Sequence, records: u32) {
        let home = Home { journal: self.manifest.journal, segment: self.end.segment };
        let group_crc = close_group(&mut group, home, first, records);
        let end = self.end.end + group.len() as u64;
        if end + MARK_BYTES > SEGMENT_BYTES_MIN {
            return;
        }
        self.write(&group);
        let last = first.as_u64().saturating_add(records.into()).saturating_sub(1);
        self.end = Link { end, last: Sequence::new(last), group_crc, ..self.end };
    }

    fn write(&self, bytes: &[u8]) {
        let Some(file) = &self.file else { return };
        file.write_at(self.end.end, bytes).expect("no fault is set");
        file.sync_data().expect("no fault is set");
    }

    fn roll(&mut self) {
        let Some(next) = self.end.segment.next() else { return };
        let mut mark = opened();
        put_next(&mut mark, next);
        let home = Home { journal: self.manifest.journal, segment: self.end.segment };
        close_group(&mut mark, home, self.end.last.next(), 0);
        self.write(&mark);
        self.begin(next);
    }

    fn begin_next(&mut self) {
        if let Some(next) = self.end.segment.next() {
            self.begin(next);
        }
    }

    fn begin(&mut self, segment: SegmentId) {
        let header = self.header(segment);
        self.begin_with(header);
    }

    fn header(&self, segment: SegmentId) -> SegmentHeader {
        SegmentHeader {
            journal: self.manifest.journal,
            segment,
            segment_bytes: SEGMENT_BYTES_MIN,
            first: self.end.last.next(),
            ceiling: self.manifest.ceiling,
            horizon: self.manifest.horizon,
            commits: self.manifest.commits,
            previous: self.end,
            repaired: false,
        }
    }

    fn begin_with(&mut self, header: SegmentHeader) {
        if self.begun == SEGMENTS_MAX {
            return;
        }
        self.begun += 1;
        let spare = Spare::prepare(&self.disk, SEGMENT_BYTES_MIN).expect("no fault is set");
        self.file = Some(spare.take_place(&self.disk, header).expect("no fault is set"));
        let end = SEGMENT_HEADER_BYTES as u64;
        let last = header.first.previous();
        self.end = Link { segment: header.segment, end, last, group_crc: 0 };
        self.manifest.newest = self.manifest.newest.max(header.segment);
    }

    fn write_manifest(&self) {
        self.manifest.write(&self.disk).expect("no fault is set");
    }

    fn odd_manifest(&mut self, draw: &mut Draw<'_>) {
        let (which, number) = (draw.below(7), draw.number());
        let manifest = &mut self.manifest;
        match which {
            0 => manifest.journal = JournalId(number),
            1 => manifest.store = number,
            2 => manifest.horizon = Sequence::new(number),
            3 => manifest.commits = CommitNumber(number),
            4 => manifest.oldest = SegmentId(number),
            5 => manifest.newest = SegmentId(number),
            _ => manifest.ceiling = Version::from_micros(number),
        }
    }

    fn odd_segment(&mut self, draw: &mut Draw<'_>) {
        let (which, number) = (draw.below(9), draw.number());
        let Some(next) = self.end.segment.next() else { return };
        let mut header = self.header(next);
        match which {
            0 => header.journal = JournalId(number),
            1 => header.segment = SegmentId(number.max(1)),
            2 => header.first = Sequence::new(number),
            3 => header.horizon = Sequence::new(number),
            4 => header.previous.segment = SegmentId(number),
            5 => header.previous.end = number,
            6 => header.previous.last = Sequence::new(number),
            7 => header.ceiling = Version::from_micros(number),
            _ => header.repaired = true,
        }
        self.begin_with(header);
    }

    /// Changes the files as nothing but damage does. What is written later goes on as if nothing
    /// had happened, to a file that may have no name any more.
    fn damage(&mut self, draw: &mut Draw<'_>) {
        let mut image = self.disk.image();
        let what = draw.below(5) as u8 + step::FLIP;
        let name = draw_name(draw, &image);
        match what {
            step::FLIP => {
                let (place, bits) = (draw_place(draw), draw.byte());
                let byte = image.get_mut(&name).and_then(|file| file.get_mut(place));
                byte.into_iter().for_each(|byte| *byte ^= bits);
            }
            step::CUT => {
                let place = draw_place(draw);
                image.get_mut(&name).into_iter().for_each(|file| file.truncate(place));
            }
            step::REMOVE => drop(image.remove(&name)),
            step::SWAP => {
                let other = draw_name(draw, &image);
                let file = image.remove(&name).unwrap_or_default();
                let other = image.insert(other, file);
                other.into_iter().for_each(|file| drop(image.insert(name.clone(), file)));
            }
            _ => {
                drop(image.insert(SegmentId(draw.number().max(1)).file_name(), draw.piece().into()))
            }
        }
        // The file that is written to stays the one of its name.
        self.disk = SimulatedDisk::restore(mem::take(&mut image));
        self.file = self.disk.open(&self.end.segment.file_name()).ok();
    }
}

fn opened() -> Vec<u8> {
    let mut group = Vec::new();
    open_group(&mut group);
    group
}

fn draw_name(draw: &mut Draw<'_>, image: &Image) -> String {
    let count = image.len() as u64;
    let nth = draw.below(count) as usize;
    image.keys().nth(nth).cloned().unwrap_or_default()
}

/// Mostly among the first bytes, where what is written is.
fn draw_place(draw: &mut Draw<'_>) -> usize {
    let (low, high) = (draw.byte(), draw.byte());
    usize::from(low) | usize::from(high) << 8
}

fn draw_record(draw: &mut Draw<'_>) -> Record {
    let version = Version::from_micros(draw.number());
    match draw.below(6) {
        0 => Record::Ceiling(version),
        1 => Record::Seal,
        2 => {
            let user = UserId::new(draw.number().max(1)).expect("not 0");
            Record::UserDeletion { user, version }
        }
        _ => {
            let key = draw_key(draw);
            let states = states();
            let mut state = states[draw.below(states.len() as u64) as usize].clone();
            state.set_version(version);
            Record::State { key, state }
        }
    }
}
