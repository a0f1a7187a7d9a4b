//! Text that a transform computes, written where it belongs: at the end of the output column's buffer.

/// An int64 as decimal text: SQL's `CAST(column AS VARCHAR)`. Its digits are written when the output column is, so no
/// string is made on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecimalText(pub i64);

/// What is written at once of a decimal: a sign and a word of eight digits.
const ROOM: usize = 1 + 8;

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
        let values = vec![0; rows * USUAL_TEXT + ROOM];
        TextBuffer { offsets: vec![[0; 4]; rows + 1], values, end: 0 }
    }

    #[inline]
    pub(crate) fn bytes(&mut self, row: usize, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.values[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
        self.close(row);
    }

    #[inline(always)]
    pub(crate) fn decimal(&mut self, row: usize, number: i64) {
        let magnitude = number.unsigned_abs();
        if magnitude < EIGHT_DIGITS {
            let (word, count) = short_decimal(magnitude as u32);
            self.sign_and_word(number < 0, word, count);
        } else {
            self.long_decimal(number < 0, magnitude);
        }
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

    #[cold]
    #[inline(never)]
    fn long_decimal(&mut self, negative: bool, magnitude: u64) {
        let (high, low) = (magnitude / EIGHT_DIGITS, (magnitude % EIGHT_DIGITS) as u32);
        if high < EIGHT_DIGITS {
            let (word, count) = short_decimal(high as u32);
            self.sign_and_word(negative, word, count);
        } else {
            self.long_decimal(negative, high);
        }
        self.sign_and_word(false, eight_digits(low) | ASCII_ZEROS, 8);
    }

    /// A minus if the number is negative, and the first `count` bytes of the word.
    #[inline(always)]
    fn sign_and_word(&mut self, negative: bool, word: u64, count: usize) {
        let room = loop {
            match self.values.get_mut(self.end..).and_then(<[u8]>::first_chunk_mut::<ROOM>) {
                Some(room) => break room,
                None => self.grow(ROOM),
            }
        };
        let sign = usize::from(negative);
        room[0] = b'-';
        room[sign..sign + 8].copy_from_slice(&word.to_le_bytes());
        self.end += sign + count;
    }

    #[inline]
    fn reserve(&mut self, count: usize) {
        if self.values.len() - self.end < count {
            self.grow(count);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, count: usize) {
        self.values.resize((self.values.len() * 2).max(self.end + count), 0);
    }
}

/// What is above a word of eight digits.
const EIGHT_DIGITS: u64 = 100_000_000;

const ASCII_ZEROS: u64 = 0x3030_3030_3030_3030;

/// The decimal text of a number below 10^8, as the first bytes of a word, and how many these are.
///
/// The least significant byte is the first digit. Leading zeros are shifted out, but a zero keeps its last digit. Most
/// keys are small: they take the shorter way.
#[inline(always)]
fn short_decimal(number: u32) -> (u64, usize) {
    if number < 10_000 {
        let digits = ones(twos(number));
        let leading_zeros = (digits.trailing_zeros() / 8).min(3);
        (u64::from((digits | ASCII_ZEROS as u32) >> (8 * leading_zeros)), 4 - leading_zeros as usize)
    } else {
        let digits = eight_digits(number);
        // There are at least five digits.
        let leading_zeros = digits.trailing_zeros() / 8;
        ((digits | ASCII_ZEROS) >> (8 * leading_zeros), 8 - leading_zeros as usize)
    }
}

/// The eight decimal digits of a number below 10^8, one a byte, the first digit in the least significant byte.
#[inline]
fn eight_digits(number: u32) -> u64 {
    let digits = |number| u64::from(ones(twos(number)));
    digits(number / 10_000) | digits(number % 10_000) << 32
}

/// The two halves of a number below 10^4, the first in the low 16 bits.
#[inline]
fn twos(number: u32) -> u32 {
    let high = (number * 10_486) >> 20;
    high | (number - 100 * high) << 16
}

/// The four digits of what `twos` answers, one a byte, the first in the lowest.
///
/// Both halves are divided at once in the lanes of one integer, as in Paul Khuong, "How to print integers really fast"
/// (<https://pvk.ca/Blog/2017/12/22/appnexus-common-framework-its-out-also-how-to-print-integers-faster/>).
/// The multiplications divide by 100 and by 10, exactly for what a lane can hold.
#[inline]
fn ones(twos: u32) -> u32 {
    let tens = ((twos * 103) >> 10) & 0x000f_000f;
    tens | (twos - 10 * tens) << 8
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
