//! A record's bytes in the payload of a group, before its body is read.

use crate::{
    model::{UserId, Version},
    store::{StoreError, codec},
};

use super::{
    Record, SegmentId,
    error::Fault,
    record::{CEILING, NEWEST, NEXT, RECORD_HEADER_BYTES, SEAL, STATE, USER_DELETION},
};

/// The kind and the body of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    kind: u8,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The newest ceiling, where this is one.
    pub(super) fn ceiling(&self) -> Option<Version> {
        (self.kind == CEILING).then(|| self.numbers())?.map(|[micros]| Version::from_micros(micros))
    }

    /// The segment that follows, where this is the mark of a segment's end.
    pub(super) fn next(&self) -> Option<SegmentId> {
        (self.kind == NEXT).then(|| self.numbers())?.map(|[id]| SegmentId(id))
    }

    pub(super) fn is_seal(&self) -> bool {
        self.kind == SEAL
    }

    pub(super) fn takes_sequence(&self) -> bool {
        self.kind != NEXT
    }

    /// The record.
    pub(super) fn decode(&self) -> Result<Record, Fault> {
        match self.kind {
            STATE => return self.decode_state(),
            USER_DELETION => self.decode_deletion(),
            CEILING => self.ceiling().map(Record::Ceiling),
            SEAL => self.numbers::<0>().map(|_| Record::Seal),
            _ => None,
        }
        .ok_or_else(|| Fault::Damaged(format!("a record of kind {} does not parse", self.kind)))
    }

    fn decode_state(&self) -> Result<Record, Fault> {
        let Some((key, row)) = self.body.split_at_checked(codec::SORT_KEY_BYTES) else {
            return Err(Fault::damaged("a state is too short"));
        };
        let key = codec::from_sort_key(key).map_err(fault)?;
        let state = codec::decode(&key, row).map_err(fault)?;
        Ok(Record::State { key, state })
    }

    fn decode_deletion(&self) -> Option<Record> {
        let [user, version] = self.numbers()?;
        Some(Record::UserDeletion {
            user: UserId::new(user)?,
            version: Version::from_micros(version),
        })
    }

    /// The body, where it is this many numbers.
    fn numbers<const N: usize>(&self) -> Option<[u64; N]> {
        let (numbers, rest) = self.body.as_chunks();
        let numbers: &[[u8; 8]; N] = numbers.try_into().ok()?;
        rest.is_empty().then(|| numbers.map(u64::from_le_bytes))
    }
}

fn fault(error: StoreError) -> Fault {
    match error {
        StoreError::NewerFormat(what) => Fault::NewerRow(what),
        other => Fault::Damaged(format!("a state does not parse: {other}")),
    }
}

/// The records of a payload, one after the other; ends after an error.
pub(super) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(super) fn of(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    fn step(&mut self) -> Result<Frame<'a>, Fault> {
        let short = || Fault::damaged("a record is cut");
        let ([kind, length @ ..], rest) =
            self.rest.split_first_chunk::<RECORD_HEADER_BYTES>().ok_or_else(short)?;
        match *kind {
            0 => return Err(Fault::damaged("a record has no kind")),
            newer if newer > NEWEST => return Err(Fault::NewerRecord(newer)),
            _ => {}
        }
        let length = u16::from_le_bytes(*length);
        let (body, rest) = rest.split_at_checked(length.into()).ok_or_else(short)?;
        self.rest = rest;
        Ok(Frame { kind: *kind, body })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let step = self.step();
        if step.is_err() {
            self.rest = &[];
        }
        Some(step)
    }
}
