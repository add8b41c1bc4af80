//! Reads numbers off a row's bytes, and writes those whose length varies. Every number has one
//! spelling: what is read without an error is what would be written.

use crate::model::LEDGER_MAX;

/// Bits of a number in each byte of a varint; the eighth says that more bytes follow.
const VARINT_BITS: u32 = 7;
const MORE: u8 = 1 << VARINT_BITS;

/// Appends `value`, lowest bits first.
pub(super) fn put_varint(row: &mut Vec<u8>, mut value: u64) {
    while value >= MORE.into() {
        row.push(value as u8 | MORE);
        value >>= VARINT_BITS;
    }
    row.push(value as u8);
}

/// Appends how many ids there are and each one's distance from the one before.
pub(super) fn put_rising(row: &mut Vec<u8>, ids: &[u64]) {
    put_varint(row, ids.len() as u64);
    let mut last = 0;
    for &id in ids {
        put_varint(row, id - last);
        last = id;
    }
}

/// What of a row is still to be read. Each read is `None` where that is not what stands there.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*chunk)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.chunk().map(u16::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..u64::BITS).step_by(VARINT_BITS as usize) {
            let [byte] = self.chunk()?;
            let bits = u64::from(byte & !MORE);
            value |= bits << shift;
            let overflows = bits << shift >> shift != bits;
            let padded = byte == 0 && shift > 0;
            if overflows || padded {
                return None;
            }
            if byte & MORE == 0 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn varint_u32(&mut self) -> Option<u32> {
        self.varint()?.try_into().ok()
    }

    pub(super) fn rising(&mut self) -> Option<Vec<u64>> {
        let count = usize::try_from(self.varint()?).ok().filter(|count| *count <= LEDGER_MAX)?;
        let mut ids = Vec::with_capacity(count);
        let mut last = 0u64;
        for _ in 0..count {
            last = last.checked_add(self.varint()?)?;
            ids.push(last);
        }
        Some(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_at_every_length() {
        for bits in 0..=u64::BITS {
            let value = u64::MAX.checked_shr(bits).unwrap_or(0);
            let mut row = Vec::new();
            put_varint(&mut row, value);
            let mut cursor = Cursor::new(&row);
            assert_eq!((cursor.varint(), cursor.is_at_end()), (Some(value), true));
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        let too_long = [&[0xff; 9][..], &[2]].concat();
        for wrong in [&[][..], &[0x80], &[0x80, 0], &[0x81, 0x80, 0], &[0xff; 11], &too_long] {
            assert_eq!(Cursor::new(wrong).varint(), None, "{wrong:02x?}");
        }
        assert_eq!(Cursor::new(&[0x80, 0x80, 0x80, 0x80, 0x10]).varint_u32(), None);
    }

    #[test]
    fn a_list_that_is_too_long_or_overflows_is_refused() {
        let ids: Vec<u64> = (1..=LEDGER_MAX as u64 + 1).collect();
        let mut row = Vec::new();
        put_rising(&mut row, &ids);
        assert_eq!(Cursor::new(&row).rising(), None);
        let mut row = Vec::new();
        put_varint(&mut row, 2);
        put_varint(&mut row, u64::MAX);
        put_varint(&mut row, 1);
        assert_eq!(Cursor::new(&row).rising(), None);
    }
}
