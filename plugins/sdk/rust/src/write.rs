//! Columns that go out: Rust values, written as the contract's buffers.
//!
//! All rows of a column are there from the start, empty; a value is put in its row's place, and rows that the result
//! leaves out are cut off at the end. So there is one allocation for a column, and no row has to make room.

use crate::contract::{Column, Kind};
use crate::text::{DecimalText, TextBuffer};

/// A type that a column's values are made of. An `Option` of it may be null.
#[diagnostic::on_unimplemented(
    message = "a column can't be made of `{Self}`",
    note = "make a column of bool, i64, f64, &str, String, &[u8], Timestamp, Date, Decimal or DecimalText, or of an Option of these"
)]
pub trait Write: Sized {
    /// The kind of the column.
    const KIND: Kind;

    /// The column's values while they are written.
    type Buffer: Buffer;

    /// Puts the value into its row. Rows come in order, each once. False: the row is null.
    fn put(self, row: usize, buffer: &mut Self::Buffer) -> bool;
}

/// The values of a column while they are written.
pub trait Buffer {
    /// Room for this many rows.
    fn with_rows(rows: usize) -> Self;

    /// Leaves the row's place to a null.
    fn skip(&mut self, row: usize);

    /// The offsets and the values of the first `rows` rows, which are the ones that were put or skipped.
    fn finish(self, rows: usize) -> Result<(Vec<u8>, Vec<u8>), String>;
}

/// One column that goes out.
pub struct Writer<T: Write> {
    buffer: T::Buffer,
    /// Made at the first null: most columns have none, and the contract then wants no bitmap.
    validity: Option<Vec<u8>>,
    rows: usize,
}

impl<T: Write> Writer<T> {
    /// A column with room for this many rows.
    pub fn with_rows(rows: usize) -> Self {
        Writer { buffer: T::Buffer::with_rows(rows), validity: None, rows }
    }

    /// Writes the row's value. Rows come in order, each once.
    #[inline(always)]
    pub fn write(&mut self, row: usize, value: T) {
        if !value.put(row, &mut self.buffer) {
            self.buffer.skip(row);
            self.null(row);
        }
    }

    /// The column of the first `rows` rows.
    pub fn finish(self, rows: usize) -> Result<Column, String> {
        let validity = self.validity.map(|mut bits| {
            bits.truncate(rows.div_ceil(8));
            bits
        });
        let (offsets, values) = self.buffer.finish(rows)?;
        Ok(Column { validity, offsets, values })
    }

    #[inline(never)]
    fn null(&mut self, row: usize) {
        let bits = self.validity.get_or_insert_with(|| vec![0xff; self.rows.div_ceil(8)]);
        bits[row / 8] &= !(1 << (row % 8));
    }
}

impl<T: Write> Write for Option<T> {
    const KIND: Kind = T::KIND;
    type Buffer = T::Buffer;

    #[inline(always)]
    fn put(self, row: usize, buffer: &mut Self::Buffer) -> bool {
        self.is_some_and(|value| value.put(row, buffer))
    }
}

/// N bytes a row.
impl<const N: usize> Buffer for Vec<[u8; N]> {
    fn with_rows(rows: usize) -> Self {
        vec![[0; N]; rows]
    }

    #[inline]
    fn skip(&mut self, _row: usize) {}

    fn finish(mut self, rows: usize) -> Result<(Vec<u8>, Vec<u8>), String> {
        self.truncate(rows);
        Ok((Vec::new(), self.into_flattened()))
    }
}

/// A bit a row, the least significant first.
impl Buffer for Vec<u8> {
    fn with_rows(rows: usize) -> Self {
        vec![0; rows.div_ceil(8)]
    }

    #[inline]
    fn skip(&mut self, _row: usize) {}

    fn finish(mut self, rows: usize) -> Result<(Vec<u8>, Vec<u8>), String> {
        self.truncate(rows.div_ceil(8));
        Ok((Vec::new(), self))
    }
}

impl Buffer for TextBuffer {
    fn with_rows(rows: usize) -> Self {
        TextBuffer::with_rows(rows)
    }

    #[inline]
    fn skip(&mut self, row: usize) {
        self.close(row);
    }

    fn finish(self, rows: usize) -> Result<(Vec<u8>, Vec<u8>), String> {
        TextBuffer::finish(self, rows)
    }
}

/// A type whose values are put into a buffer by this expression.
macro_rules! write_as {
    ($type:ty, $kind:expr, $buffer:ty, |$value:ident, $row:ident, $into:ident| $put:expr) => {
        impl Write for $type {
            const KIND: Kind = $kind;
            type Buffer = $buffer;

            #[inline(always)]
            fn put(self, $row: usize, $into: &mut Self::Buffer) -> bool {
                let $value = self;
                $put;
                true
            }
        }
    };
}

write_as!(bool, Kind::Boolean, Vec<u8>, |value, row, bits| bits[row / 8] |= u8::from(value) << (row % 8));
write_as!(&str, Kind::Utf8, TextBuffer, |value, row, text| text.bytes(row, value.as_bytes()));
write_as!(String, Kind::Utf8, TextBuffer, |value, row, text| text.bytes(row, value.as_bytes()));
write_as!(DecimalText, Kind::Utf8, TextBuffer, |value, row, text| text.decimal(row, value.0));
write_as!(&[u8], Kind::Binary, TextBuffer, |value, row, bytes| bytes.bytes(row, value));
