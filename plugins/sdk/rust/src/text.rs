//! Text that a transform computes, written where it belongs: at the end of the output column's buffer.

/// An int64 as decimal text: SQL's `CAST(column AS VARCHAR)`. Its digits are written when the output column is, so no
/// string is made on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecimalText(pub i64);

/// A decimal int64 has up to 20 characters; it is written as a sign and up to three words of eight digits.
const ROOM_OF_A_DECIMAL: usize = 1 + 3 * 8;

/// The first guess of a text's length, in bytes: keys and codes are short. A longer column doubles its buffer as it grows.
const USUAL_TEXT: usize = 8;

/// The buffers of an utf8 or binary column that grows by one value after the other.
///
/// `values` is longer than what is written (`end`), so that short text is stored in whole words, of which the next value
/// overwrites what was too much; copying just the bytes that count costs a call for each value.
#[derive(Debug)]
pub struct TextBuffer {
    offsets: Vec<[u8; 4]>,
    values: Vec<u8>,
    end: usize,
}

impl TextBuffer {
    pub(crate) fn with_rows(rows: usize) -> TextBuffer {
        let values = vec![0; rows * USUAL_TEXT + ROOM_OF_A_DECIMAL];
        TextBuffer { offsets: vec![[0; 4]; rows + 1], values, end: 0 }
    }

    #[inline]
    pub(crate) fn bytes(&mut self, row: usize, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.values[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
        self.close(row);
    }

    #[inline]
    pub(crate) fn decimal(&mut self, row: usize, number: i64) {
        self.reserve(ROOM_OF_A_DECIMAL);
        if number < 0 {
            self.values[self.end] = b'-';
            self.end += 1;
        }
        self.digits(number.unsigned_abs());
        self.close(row);
    }

    /// Ends the value of this row where the buffer ends now; a row that is only closed holds nothing.
    #[inline]
    pub(crate) fn close(&mut self, row: usize) {
        // Beyond 2 GiB this wraps, and `finish` refuses the column.
        self.offsets[row + 1] = (self.end as u32).to_le_bytes();
    }

    /// The offsets and values of the first `rows` rows.
    pub(crate) fn finish(mut self, rows: usize) -> Result<(Vec<u8>, Vec<u8>), String> {
        if i32::try_from(self.end).is_err() {
            return Err(format!("a column of {} bytes of text, more than its int32 offsets can reach", self.end));
        }
        self.offsets.truncate(rows + 1);
        self.values.truncate(self.end);
        Ok((self.offsets.into_flattened(), self.values))
    }

    #[inline]
    fn digits(&mut self, number: u64) {
        if number < 100_000_000 {
            let word = eight_digits(number as u32);
            // The least significant byte is the first digit. A single zero is a digit, too.
            let leading_zeros = (word.trailing_zeros() / 8).min(7);
            self.word((word | ASCII_ZEROS) >> (8 * leading_zeros), 8 - leading_zeros as usize);
        } else {
            self.long_digits(number);
        }
    }

    #[inline(never)]
    fn long_digits(&mut self, number: u64) {
        self.digits(number / 100_000_000);
        self.word(eight_digits((number % 100_000_000) as u32) | ASCII_ZEROS, 8);
    }

    #[inline]
    fn word(&mut self, word: u64, count: usize) {
        self.values[self.end..self.end + 8].copy_from_slice(&word.to_le_bytes());
        self.end += count;
    }

    #[inline]
    fn reserve(&mut self, count: usize) {
        if self.values.len() - self.end < count {
            self.grow(count);
        }
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        self.values.resize((self.values.len() * 2).max(self.end + count), 0);
    }
}

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The eight decimal digits of a number below 10^8, one a byte, the first digit in the least significant byte.
///
/// Halves the number three times, all parts at once in the lanes of one integer: Paul Khuong, "How to print integers
/// really fast" (<https://pvk.ca/Blog/2017/12/22/appnexus-common-framework-its-out-also-how-to-print-integers-faster/>).
/// The multiplications divide by 100 and by 10, exactly for what a lane can hold.
#[inline]
fn eight_digits(number: u32) -> u64 {
    let fours = u64::from(number / 10_000) | u64::from(number % 10_000) << 32;
    let high_twos = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = high_twos | (fours - 100 * high_twos) << 16;
    let high_ones = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    high_ones | (twos - 10 * high_ones) << 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(numbers: &[i64]) -> Vec<String> {
        let mut buffer = TextBuffer::with_rows(numbers.len());
        for (row, number) in numbers.iter().enumerate() {
            buffer.decimal(row, *number);
        }
        let (offsets, values) = buffer.finish(numbers.len()).unwrap();
        let ends: Vec<_> = offsets.as_chunks::<4>().0.iter().map(|end| i32::from_le_bytes(*end) as usize).collect();
        ends.windows(2).map(|at| String::from_utf8(values[at[0]..at[1]].to_vec()).unwrap()).collect()
    }

    #[test]
    fn the_text_of_a_number_at_every_edge_of_its_length_is_that_of_the_standard_library() {
        let powers = (0..19).map(|exponent| 10i64.pow(exponent));
        let edges = powers.flat_map(|power| [power - 1, power, -power, 1 - power]);
        let numbers: Vec<_> = edges.chain([i64::MIN, i64::MIN + 1, i64::MAX]).collect();
        assert_eq!(written(&numbers), numbers.iter().map(i64::to_string).collect::<Vec<_>>());
    }

    proptest! {
        #[test]
        fn the_text_of_any_numbers_is_that_of_the_standard_library(
            numbers in prop::collection::vec(prop_oneof![any::<i64>(), -1000i64..1000, any::<i32>().prop_map(i64::from)], 0..100),
        ) {
            prop_assert_eq!(written(&numbers), numbers.iter().map(i64::to_string).collect::<Vec<_>>());
        }
    }
}
