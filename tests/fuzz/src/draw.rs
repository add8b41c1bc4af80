//! Decisions drawn from bytes. Where those end everything drawn is 0, so every input has a meaning,
//! and one that is a little longer mostly a similar one.

/// Bytes that are not drawn yet.
pub struct Draw<'a> {
    rest: &'a [u8],
}

impl<'a> Draw<'a> {
    /// From all of these.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *byte
    }

    /// Whether the next byte is odd.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of 0, 1, ... below `end`, from one byte.
    pub fn below(&mut self, end: u64) -> u64 {
        u64::from(self.byte()) % end.max(1)
    }

    /// From 8 bytes.
    pub fn u64(&mut self) -> u64 {
        let bytes = self.take(8);
        bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// A number that is mostly small, often near a border of its type, and sometimes any at all.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..200 => u64::from(byte),
            byte @ 200..216 => u64::MAX - u64::from(byte - 200),
            byte @ 216..232 => (1 << 32) - 8 + u64::from(byte - 216),
            byte @ 232..248 => (1 << 63) - 8 + u64::from(byte - 232),
            _ => self.u64(),
        }
    }

    /// So many bytes, or as many as are left.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Up to 255 bytes, as the next one says.
    pub fn piece(&mut self) -> &'a [u8] {
        let count = self.byte();
        self.take(count.into())
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }
}
