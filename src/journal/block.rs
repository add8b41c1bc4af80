//! A checked block of numbers: what a segment's header and the manifest are made of.
//!
//! Integers little-endian; the rest of the block is zeros:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic: which kind of file |
//! | 4 | the format |
//! | 4 | crc32c of the whole block without these 4 bytes |
//! | 8 each | the numbers |
//!
//! Every format keeps magic, format, checksum and the block's length, so that damage is told from
//! a newer format.

use crc32c::{crc32c, crc32c_append};

use super::error::Fault;

/// The format that is written.
pub(super) const FORMAT: u32 = 1;

const CRC_AT: usize = 12;
const NUMBERS_AT: usize = 16;

/// The block with these numbers.
pub(super) fn encode<const BYTES: usize>(magic: &[u8; 8], numbers: &[u64]) -> [u8; BYTES] {
    let mut block = [0; BYTES];
    block[..8].copy_from_slice(magic);
    block[8..CRC_AT].copy_from_slice(&FORMAT.to_le_bytes());
    let places = block[NUMBERS_AT..].as_chunks_mut().0;
    for (place, number) in places.iter_mut().zip(numbers) {
        *place = number.to_le_bytes();
    }
    let sum = checksum(&block);
    block[CRC_AT..NUMBERS_AT].copy_from_slice(&sum.to_le_bytes());
    block
}

/// The numbers of a block.
pub(super) fn decode<const BYTES: usize, const N: usize>(
    magic: &[u8; 8],
    block: &[u8; BYTES],
) -> Result<[u64; N], Fault> {
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| block[at + byte]));
    if block[..8] != magic[..] {
        return Err(Fault::damaged("it does not begin as such a file does"));
    }
    if word(CRC_AT) != checksum(block) {
        return Err(Fault::damaged("its header does not match its checksum"));
    }
    match word(8) {
        FORMAT => {}
        0 => return Err(Fault::damaged("it has no format")),
        format => return Err(Fault::NewerFormat(format)),
    }
    let mut numbers = [0; N];
    let places = block[NUMBERS_AT..].as_chunks().0;
    for (number, place) in numbers.iter_mut().zip(places) {
        *number = u64::from_le_bytes(*place);
    }
    Ok(numbers)
}

fn checksum(block: &[u8]) -> u32 {
    crc32c_append(crc32c(&block[..CRC_AT]), &block[NUMBERS_AT..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: &[u8; 8] = b"rs-tests";

    fn block() -> [u8; 48] {
        encode(MAGIC, &[1, u64::MAX, 3])
    }

    #[test]
    fn numbers_come_back_and_every_flipped_bit_is_noticed() {
        assert_eq!(decode(MAGIC, &block()), Ok([1, u64::MAX, 3]));
        for bit in 0..48 * 8 {
            let mut damaged = block();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let decoded = decode::<_, 3>(MAGIC, &damaged);
            assert!(matches!(decoded, Err(Fault::Damaged(_))), "bit {bit}: {decoded:?}");
        }
    }

    #[test]
    fn a_newer_format_is_named_and_another_kind_of_file_is_not_read() {
        let mut newer = block();
        newer[8] = 2;
        let sum = checksum(&newer);
        newer[CRC_AT..NUMBERS_AT].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(decode::<_, 3>(MAGIC, &newer), Err(Fault::NewerFormat(2)));
        assert!(matches!(decode::<_, 3>(b"rs-other", &block()), Err(Fault::Damaged(_))));
    }
}
