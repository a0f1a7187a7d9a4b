//! Looks at eight bytes at once: as one word, the first of them its lowest.
//!
//! A question about each byte takes a few operations of the word, and the high bit of each byte is the answer (Bit Twiddling Hacks,
//! "Determine if a word has a zero byte"). What an operation carries or borrows goes to the bytes behind, so that the first answer that
//! is yes is exact; no other is used.

/// Number of bytes in a word.
pub(super) const BYTES: usize = 8;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = ONES << 7;

/// Returns the first word of these bytes, and what follows it.
#[inline]
pub(super) fn split(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk().map(|(word, behind)| (u64::from_le_bytes(*word), behind))
}

/// Returns true if all bytes are ASCII, also of words that were laid over one another with `|`.
#[inline]
pub(super) fn is_ascii(word: u64) -> bool {
    word & HIGHS == 0
}

/// Returns the first quote or backslash, and the number of bytes before it.
#[inline]
pub(super) fn quote_or_backslash(word: u64) -> Option<(usize, u8)> {
    // Zero is where the byte is. One less, it has its high bit, as has what had it before, which is neither of the two.
    let less = |byte: u8| (word ^ (ONES * u64::from(byte))).wrapping_sub(ONES);
    let found = (less(b'"') | less(b'\\')) & !word & HIGHS;
    let first = found.trailing_zeros() & !7;
    (found != 0).then(|| ((first / 8) as usize, (word >> first) as u8))
}

/// Returns the number of digits that the word begins with.
#[inline]
pub(super) fn digits(word: u64) -> usize {
    let values = word ^ (ONES * u64::from(b'0'));
    // What is 10 or more has its high bit then.
    let others = (values | values.wrapping_add(ONES * (0x80 - 10))) & HIGHS;
    (others.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes of which many are what is looked for, or nearly.
    fn bytes() -> impl Strategy<Value = [u8; BYTES]> {
        let byte = prop_oneof![
            3 => any::<u8>(),
            1 => prop::sample::select(&b"\"\\"[..]),
            2 => prop::sample::select(&b"!#[]\x00\x01\x7f\x80\xa2\xdc\xff/:"[..]),
            6 => b'0'..=b'9',
        ];
        prop::collection::vec(byte, BYTES).prop_map(|bytes| bytes.try_into().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_first_of_the_bytes_looked_for_is_found_whatever_is_behind_it(bytes in bytes()) {
            let word = u64::from_le_bytes(bytes);
            let first = bytes.iter().position(|byte| b"\"\\".contains(byte));
            prop_assert_eq!(quote_or_backslash(word), first.map(|at| (at, bytes[at])));
            prop_assert_eq!(digits(word), bytes.iter().take_while(|byte| byte.is_ascii_digit()).count());
            prop_assert_eq!(is_ascii(word), bytes.is_ascii());
        }
    }
}
