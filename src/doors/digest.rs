//! What is kept of a token: its SHA-256, of which nobody gets back to it. Tokens are drawn at
//! random (`readstates token`), so that no slower hash is needed.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest};

/// Bytes of a digest.
const BYTES: usize = 32;
/// How long a token is, in bytes: long enough to be none that is guessed.
const TOKEN_BYTES_MIN: usize = 16;
const TOKEN_BYTES_MAX: usize = 512;
/// How an `authorization` header begins that has a token; case does not matter.
const SCHEME: &[u8] = b"Bearer ";

/// The SHA-256 of a token. There is no `==` for it: see [`Self::is`].
#[derive(Clone, Copy)]
pub struct Digest([u8; BYTES]);

impl Digest {
    /// That of `token`.
    pub fn of(token: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, token);
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// The one that stands in hexadecimal digits in a file.
    pub fn parse(hex: &str) -> Option<Self> {
        let digits = hex.as_bytes();
        if digits.len() != 2 * BYTES {
            return None;
        }
        let value = |digit: u8| char::from(digit).to_digit(16);
        let mut bytes = [0; BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (value(pair[0])? << 4 | value(pair[1])?) as u8;
        }
        Some(Self(bytes))
    }

    /// As a callers file spells it.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it is the same as `other`. Takes as long where the first byte differs as where the
    /// last one does.
    pub fn is(&self, other: &Self) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    /// For tables; whoever compares these tells by the time it takes how near they are.
    pub(super) fn bytes(&self) -> &[u8; BYTES] {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(digest of a token)")
    }
}

/// The digest of the token in an `authorization` header of that value; `None` where it is not of
/// the form `Bearer TOKEN`, with a token of visible characters and a length that tokens have.
pub(super) fn presented(authorization: &[u8]) -> Option<Digest> {
    let (scheme, token) = authorization.split_at_checked(SCHEME.len())?;
    let is_token = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len())
        && token.iter().all(u8::is_ascii_graphic);
    (scheme.eq_ignore_ascii_case(SCHEME) && is_token).then(|| Digest::of(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That of "abc", from FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_is_read_and_written_in_hexadecimal() {
        assert_eq!(Digest::of(b"abc").hex(), ABC);
        let upper = ABC.to_uppercase();
        for hex in [ABC, upper.as_str()] {
            assert!(Digest::parse(hex).expect("it is one").is(&Digest::of(b"abc")));
        }
        let long = format!("{ABC}0");
        let signed = format!("+{}", &ABC[1..]);
        for wrong in ["", &ABC[1..], &long, &signed, &ABC.replace('f', "g"), &"é".repeat(32)] {
            assert!(Digest::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn digests_that_differ_in_any_bit_differ() {
        let one = Digest::of(b"abc");
        for bit in 0..8 * BYTES {
            let mut other = one;
            other.0[bit / 8] ^= 1 << (bit % 8);
            assert!(!one.is(&other), "bit {bit}");
        }
    }

    #[test]
    fn a_header_with_a_token_is_taken_and_nothing_else() {
        let token = "0123456789abcdef";
        let taken = |header: &str| presented(header.as_bytes()).is_some();
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let digest = presented(format!("{scheme} {token}").as_bytes()).expect("it is one");
            assert!(digest.is(&Digest::of(token.as_bytes())));
        }
        assert!(taken(&format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX))));
        let long = format!("Bearer {}", "x".repeat(TOKEN_BYTES_MAX + 1));
        let wrong = [
            "",
            "Bearer",
            "Bearer ",
            "Bearer short",
            token,
            "Basic 0123456789abcdef",
            "Bearer  0123456789abcdef",
            "Bearer 0123456789 abcdef",
            "Bearer 0123456789abcdef ",
            "Bearer 0123456789abcdé",
            "Bearer\t0123456789abcdef",
            &long,
        ];
        for header in wrong {
            assert!(!taken(header), "{header:?}");
        }
    }

    #[test]
    fn it_is_not_shown() {
        assert_eq!(format!("{:?}", Digest::of(b"abc")), "(digest of a token)");
    }
}
