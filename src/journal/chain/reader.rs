//! Reads the files of a journal, each checked against what its neighbours say of it.

use std::io;

use crate::journal::{
    Disk, JournalError, JournalId, Link, Manifest, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentId,
    error::Fault,
    group::Home,
    manifest::MANIFEST,
    scan::{Misfit, scan},
};

use super::{
    Judge, Names, Segment,
    bytes::{is_unreadable, read_file, read_readable},
    salvage,
};

pub(super) struct Reader<'a> {
    disk: &'a dyn Disk,
    judge: Judge<'a>,
    /// The bytes of one segment at a time.
    buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(disk: &'a dyn Disk, judge: Judge<'a>) -> Self {
        Self { disk, judge, buffer: Vec::new() }
    }

    pub(super) fn manifest(&mut self, names: &Names) -> Result<Option<Manifest>, JournalError> {
        if !names.has_manifest {
            if names.has_segments() {
                self.wrong(MANIFEST, 0, Fault::damaged("it is missing, and there are segments"))?;
            }
            return Ok(None);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        self.read(MANIFEST, &mut buffer)?;
        let decoded = Manifest::decode(&buffer);
        self.buffer = buffer;
        match decoded {
            Ok(manifest) => Ok(Some(manifest)),
            Err(fault) => self.wrong(MANIFEST, 0, fault).map(|()| None),
        }
    }

    /// Checks that no segment is missing between those that are there and those that should be.
    pub(super) fn check_complete(
        &mut self,
        manifest: Option<&Manifest>,
        ids: &[SegmentId],
    ) -> Result<(), JournalError> {
        let oldest = manifest.map(|manifest| manifest.oldest).or(ids.first().copied());
        // None where no number is left.
        let mut wanted = Some(oldest.unwrap_or_default());
        for &id in ids {
            if let Some(wanted) = wanted.filter(|wanted| *wanted != id) {
                self.missing(wanted, SegmentId(id.0 - 1))?;
            }
            wanted = id.next();
        }
        match (manifest, wanted) {
            (Some(manifest), Some(wanted)) if manifest.newest >= wanted => {
                self.missing(wanted, manifest.newest)
            }
            _ => Ok(()),
        }
    }

    fn missing(&mut self, first: SegmentId, last: SegmentId) -> Result<(), JournalError> {
        let what = if first == last {
            "it is missing".to_owned()
        } else {
            format!("it is missing, and so are all up to segment {last}")
        };
        self.wrong(&first.file_name(), 0, Fault::Damaged(what))
    }

    /// The header of each segment; `None` where the judge let damage pass.
    pub(super) fn headers(
        &mut self,
        manifest: Option<&Manifest>,
        ids: &[SegmentId],
    ) -> Result<Vec<Option<SegmentHeader>>, JournalError> {
        let mut journal = manifest.map(|manifest| manifest.journal);
        let mut headers: Vec<Option<SegmentHeader>> = Vec::with_capacity(ids.len());
        for &id in ids {
            let header = self.header(id)?;
            if let Some(header) = &header {
                let before = headers.last().and_then(Option::as_ref);
                let journal = *journal.get_or_insert(header.journal);
                if let Err(what) = check_header(header, id, journal, before) {
                    self.wrong(&id.file_name(), 0, Fault::Damaged(what))?;
                }
            }
            // A header of somewhere else says nothing of this place.
            headers.push(
                header.filter(|header| header.segment == id && Some(header.journal) == journal),
            );
        }
        Ok(headers)
    }

    fn header(&mut self, id: SegmentId) -> Result<Option<SegmentHeader>, JournalError> {
        let name = id.file_name();
        let mut block = [0; SEGMENT_HEADER_BYTES];
        let read = self.disk.open(&name).and_then(|file| file.read_at(0, &mut block));
        let fault = match read {
            Ok(()) => match SegmentHeader::decode(&block) {
                Ok(header) => return Ok(Some(header)),
                Err(fault) => fault,
            },
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Fault::damaged("it is cut within its header")
            }
            Err(error) => {
                let error = JournalError::io("reading", self.disk, &name, error);
                return self.pass_unreadable(error).map(|()| None);
            }
        };
        self.wrong(&name, 0, fault).map(|()| None)
    }

    /// Reads the groups of a segment. `end` is what its successor remembers of it.
    pub(super) fn segment(
        &mut self,
        journal: Option<JournalId>,
        id: SegmentId,
        header: Option<SegmentHeader>,
        end: Option<Link>,
    ) -> Result<Segment, JournalError> {
        let name = id.file_name();
        let mut buffer = std::mem::take(&mut self.buffer);
        self.read(&name, &mut buffer)?;
        let file_bytes = buffer.len() as u64;
        let home = Home { journal: journal.unwrap_or(JournalId(0)), segment: id };
        let scanned = match header {
            Some(header) if header.segment_bytes != file_bytes => {
                let offset = file_bytes.min(header.segment_bytes);
                let (is, was) = (file_bytes, header.segment_bytes);
                let what = format!("the file is {is} bytes long and was made with {was}");
                Err(Misfit { offset, fault: Fault::Damaged(what) })
            }
            Some(header) => scan(&buffer, home, header.first, end.as_ref()),
            // Its damaged header was judged already.
            None => Ok(salvage(&buffer, home)),
        };
        let scanned = match scanned {
            Ok(scanned) => scanned,
            Err(Misfit { offset, fault }) => {
                self.wrong(&name, offset, fault)?;
                salvage(&buffer, home)
            }
        };
        self.buffer = buffer;
        Ok(Segment { id, header, file_bytes, scanned })
    }

    /// All of a file; where a judge lets an unreadable part of the disk pass, zeros for that part.
    fn read(&mut self, name: &str, buffer: &mut Vec<u8>) -> Result<(), JournalError> {
        match read_file(self.disk, name, buffer) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.pass_unreadable(error)?;
                read_readable(self.disk, name, buffer).map(|_| ())
            }
        }
    }

    fn pass_unreadable(&mut self, error: JournalError) -> Result<(), JournalError> {
        if is_unreadable(&error) { (self.judge)(error) } else { Err(error) }
    }

    fn wrong(&mut self, name: &str, offset: u64, fault: Fault) -> Result<(), JournalError> {
        (self.judge)(fault.at(self.disk, name, offset))
    }
}

/// Checks a header against its file's name, its journal and the header before it.
fn check_header(
    header: &SegmentHeader,
    id: SegmentId,
    journal: JournalId,
    before: Option<&SegmentHeader>,
) -> Result<(), String> {
    if header.journal != journal {
        return Err(format!("it is of another journal, {}, and this is {journal}", header.journal));
    }
    if header.segment != id {
        return Err(format!("it is segment {} under another's name", header.segment));
    }
    // Nothing is known of what was before the oldest; what is missing was told of already.
    let Some(before) = before else { return Ok(()) };
    let previous = header.previous;
    if previous.segment.next() != Some(id) {
        return Err(format!("it follows segment {}, not the one before", previous.segment));
    }
    if previous.segment != before.segment {
        return Ok(());
    }
    if header.first <= previous.last || previous.last < before.first.previous() {
        return Err("its first record does not follow those of the segment before".to_owned());
    }
    Ok(())
}
