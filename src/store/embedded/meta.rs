//! The one row that every write renews: which format the store has, how many writes it has seen
//! (I11), and how far the clock may have run.

use crc32c::crc32c;

use crate::{
    model::Version,
    store::{CommitNumber, StoreError},
};

/// The format that is written.
const FORMAT: u8 = 1;

/// The format, three numbers of 8 bytes, crc32c of all before.
const BYTES: usize = 1 + 3 * 8 + 4;

/// What the meta row says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) commits: CommitNumber,
    pub(super) clock_ceiling: Version,
    /// Every tombstone and mark that has expired was older than this.
    pub(super) expired_before: Version,
}

impl Meta {
    pub(super) fn encode(&self) -> [u8; BYTES] {
        let mut row = [FORMAT; BYTES];
        row[1..9].copy_from_slice(&self.commits.0.to_le_bytes());
        row[9..17].copy_from_slice(&self.clock_ceiling.as_micros().to_le_bytes());
        row[17..25].copy_from_slice(&self.expired_before.as_micros().to_le_bytes());
        let sum = crc32c(&row[..25]);
        row[25..].copy_from_slice(&sum.to_le_bytes());
        row
    }

    /// Every format begins with its number and ends in its checksum.
    pub(super) fn decode(row: &[u8]) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt("its meta row does not match its checksum".to_owned());
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
        let [commits, ceiling, expired] = numbers.as_chunks().0 else { return Err(corrupt()) };
        Ok(Self {
            commits: CommitNumber(u64::from_le_bytes(*commits)),
            clock_ceiling: Version::from_micros(u64::from_le_bytes(*ceiling)),
            expired_before: Version::from_micros(u64::from_le_bytes(*expired)),
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
    fn a_newer_format_is_refused_by_name() {
        let body = [2, 9, 9];
        let row = [&body[..], &crc32c(&body).to_le_bytes()].concat();
        let Err(StoreError::NewerFormat(message)) = Meta::decode(&row) else {
            panic!("a newer format was read");
        };
        assert_eq!(message, "it has format 2, and 1 is the newest known here");
    }
}
