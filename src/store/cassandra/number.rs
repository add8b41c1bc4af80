//! Ids as `varint`: in CQL's own numbers an id above 2^63 would be negative, and sort before all
//! others.

use scylla::value::CqlVarint;

/// The shortest two's complement of `number`, most significant byte first.
pub(super) fn varint(number: u64) -> CqlVarint {
    let bytes = number.to_be_bytes();
    let skipped = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len() - 1);
    let digits = &bytes[skipped..];
    let sign: &[u8] = if digits[0] & 0x80 == 0 { &[] } else { &[0] };
    CqlVarint::from_signed_bytes_be([sign, digits].concat())
}

/// The number, unless it is negative or wider than 64 bits.
pub(super) fn number(varint: &CqlVarint) -> Option<u64> {
    let digits = varint.as_signed_bytes_be_slice();
    if digits.first().is_none_or(|first| first & 0x80 != 0) {
        return None;
    }
    let skipped = digits.iter().take_while(|byte| **byte == 0).count();
    let digits = &digits[skipped..];
    let mut bytes = [0; 8];
    bytes.get_mut(8_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(u64::from_be_bytes(bytes))
}

/// A write timestamp: the version, in the microseconds that Cassandra counts in.
pub(super) fn timestamp(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_and_is_as_short_as_can_be() {
        for (given, length) in
            [(0, 1), (1, 1), (127, 1), (128, 2), (255, 2), (256, 2), (1 << 62, 8), (1 << 63, 9)]
        {
            let made = varint(given);
            assert_eq!(made.as_signed_bytes_be_slice().len(), length, "{given}");
            assert_eq!(number(&made), Some(given));
        }
        assert_eq!(number(&varint(u64::MAX)), Some(u64::MAX));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let of = |bytes: &[u8]| number(&CqlVarint::from_signed_bytes_be_slice(bytes));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[0xff]), None);
        assert_eq!(of(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(of(&[0, 0, 7]), Some(7));
    }

    #[test]
    fn timestamps_stay_within_what_can_be_written() {
        assert_eq!(timestamp(5), 5);
        assert_eq!(timestamp(u64::MAX), i64::MAX);
    }
}
