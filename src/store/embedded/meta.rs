//! The one row that every write renews: which format the store has, how many writes it has seen
//! (I11), and how far the clock may have run.

use crc32c::crc32c;

use crate::{
    model::Version,
    store::{CommitNumber, StoreError},
};

/// The format that is written. Format 2 is the same without the journal's record, format 1 also
/// without the store's own number.
const FORMAT: u8 = 3;

/// The format, five numbers of 8 bytes, crc32c of all before.
const BYTES: usize = 1 + 5 * 8 + 4;

/// What the meta row says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) commits: CommitNumber,
    pub(super) clock_ceiling: Version,
    /// Every tombstone and mark that has expired was older than this, and no delta from before it
    /// is to be trusted.
    pub(super) expired_before: Version,
    /// Which store this is; 0 where an earlier release made it.
    pub(super) id: u64,
    /// No row is of a later record of the journal; 0 where that is not known.
    pub(super) upto: u64,
}

impl Meta {
    /// The same with a number of its own.
    pub(super) fn with_id(self) -> Self {
        Self { id: rand::random_range(1..=u64::MAX), ..self }
    }

    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut row = [FORMAT; BYTES];
        row[1..9].copy_from_slice(&self.commits.0.to_le_bytes());
        row[9..17].copy_from_slice(&self.clock_ceiling.as_micros().to_le_bytes());
        row[17..25].copy_from_slice(&self.expired_before.as_micros().to_le_bytes());
        row[25..33].copy_from_slice(&self.id.to_le_bytes());
        row[33..41].copy_from_slice(&self.upto.to_le_bytes());
        let sum = crc32c(&row[..41]);
        row[41..].copy_from_slice(&sum.to_le_bytes());
        row
    }

    /// Every format begins with its number and ends in its checksum.
    pub(super) fn decode(row: &[u8]) -> Result<Self, StoreError> {
        let corrupt =
            || StoreError::Corrupt("its meta row does not match its checksum".to_owned().into());
        let (body, sum) = row.split_last_chunk().ok_or_else(corrupt)?;
        if crc32c(body) != u32::from_le_bytes(*sum) {
            return Err(corrupt());
        }
        let (format, numbers) = body.split_first().ok_or_else(corrupt)?;
        if *format > FORMAT {
            return Err(StoreError::NewerFormat(format!(
                "it has format {format}, and {FORMAT} is the newest known here"
            )));
        }
        let [commits, ceiling, expired, rest @ ..] = numbers.as_chunks::<8>().0 else {
            return Err(corrupt());
        };
        let (id, upto) = match rest {
            [] if *format == 1 => (&[0; 8], &[0; 8]),
            [id] if *format == 2 => (id, &[0; 8]),
            [id, upto] if *format == 3 => (id, upto),
            _ => return Err(corrupt()),
        };
        Ok(Self {
            commits: CommitNumber(u64::from_le_bytes(*commits)),
            clock_ceiling: Version::from_micros(u64::from_le_bytes(*ceiling)),
            expired_before: Version::from_micros(u64::from_le_bytes(*expired)),
            id: u64::from_le_bytes(*id),
            upto: u64::from_le_bytes(*upto),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        Meta {
            commits: CommitNumber(7),
            clock_ceiling: Version::from_micros(1 << 50),
            expired_before: Version::from_micros(1 << 40),
            id: 9,
            upto: 11,
        }
    }

    #[test]
    fn it_comes_back_and_every_flipped_bit_and_truncation_is_noticed() {
        let row = meta().encode();
        assert_eq!(Meta::decode(&row).expect("just written"), meta());
        for bit in 0..BYTES * 8 {
            let mut damaged = row;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Meta::decode(&damaged), Err(StoreError::Corrupt(_))));
        }
        for length in 0..BYTES {
            assert!(matches!(Meta::decode(&row[..length]), Err(StoreError::Corrupt(_))));
        }
    }

    #[test]
    fn older_formats_are_read_and_lack_what_they_did_not_have() {
        let decoded = |format: u8, numbers: &[u64]| {
            let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let body = [&[format], &numbers[..]].concat();
            let row = [&body[..], &crc32c(&body).to_le_bytes()].concat();
            Meta::decode(&row).expect("it is read")
        };
        let numbers = [7, 1 << 50, 1 << 40, 9];
        assert_eq!(decoded(1, &numbers[..3]), Meta { id: 0, upto: 0, ..meta() });
        assert_eq!(decoded(2, &numbers), Meta { upto: 0, ..meta() });
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let body = [4, 9, 9];
        let row = [&body[..], &crc32c(&body).to_le_bytes()].concat();
        let Err(StoreError::NewerFormat(message)) = Meta::decode(&row) else {
            panic!("a newer format was read");
        };
        assert_eq!(message, "it has format 4, and 3 is the newest known here");
    }
}
