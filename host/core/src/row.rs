//! A row of columns as bytes: a group's key, which is compared, hashed and stored, and its state, which is stored.
//!
//! Each column adds a tag and, unless it is null, its value: 8 bytes little-endian, one byte for a boolean, or a length
//! (u32, little-endian) and the bytes. The form is self-delimiting, so different rows never share bytes, and it doesn't
//! depend on a library's version.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, PrimitiveArray, StringArray};
use arrow_schema::{DataType, TimeUnit};

use crate::schema::Kind;

const NULL: u8 = 0;
const VALUE: u8 = 1;

/// A column whose values become bytes.
pub(crate) enum RowColumn<'a> {
    Boolean(&'a BooleanArray),
    Int64(&'a PrimitiveArray<Int64Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Float64(&'a Float64Array),
    /// Numbers of a key: those that SQL calls equal become the same bytes.
    Float64Key(&'a Float64Array),
    Utf8(&'a StringArray),
    Binary(&'a BinaryArray),
}

impl<'a> RowColumn<'a> {
    /// The array as a column of a key; none if its type is of no kind.
    pub(crate) fn of_key(array: &'a ArrayRef) -> Option<RowColumn<'a>> {
        Some(match RowColumn::new(array)? {
            RowColumn::Float64(array) => RowColumn::Float64Key(array),
            other => other,
        })
    }

    /// The array as a column whose values come back as they are; none if its type is of no kind.
    pub(crate) fn new(array: &'a ArrayRef) -> Option<RowColumn<'a>> {
        Some(match array.data_type() {
            DataType::Boolean => RowColumn::Boolean(array.as_boolean()),
            DataType::Int64 => RowColumn::Int64(array.as_primitive()),
            DataType::Float64 => RowColumn::Float64(array.as_primitive::<Float64Type>()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => RowColumn::Timestamp(array.as_primitive()),
            DataType::Utf8 => RowColumn::Utf8(array.as_string()),
            DataType::Binary => RowColumn::Binary(array.as_binary()),
            _ => return None,
        })
    }

    /// Appends this row's value.
    #[inline]
    pub(crate) fn encode(&self, row: usize, key: &mut Vec<u8>) {
        match self {
            RowColumn::Boolean(a) => put(key, a.is_valid(row).then(|| [u8::from(a.value(row))])),
            RowColumn::Int64(a) => put(key, a.is_valid(row).then(|| a.value(row).to_le_bytes())),
            RowColumn::Timestamp(a) => put(key, a.is_valid(row).then(|| a.value(row).to_le_bytes())),
            RowColumn::Float64(a) => put(key, a.is_valid(row).then(|| a.value(row).to_le_bytes())),
            RowColumn::Float64Key(a) => put(key, a.is_valid(row).then(|| canonical(a.value(row)).to_le_bytes())),
            RowColumn::Utf8(a) => put_bytes(key, a.is_valid(row).then(|| a.value(row).as_bytes())),
            RowColumn::Binary(a) => put_bytes(key, a.is_valid(row).then(|| a.value(row))),
        }
    }
}

/// Appends a timestamp as [`RowColumn::encode`] does.
pub(crate) fn encode_timestamp(micros: i64, row: &mut Vec<u8>) {
    put(row, Some(micros.to_le_bytes()));
}

/// Replaces a number by the one that stands for all equal ones: SQL groups all NaNs together, and 0 with -0.
fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

#[inline]
fn put<const N: usize>(key: &mut Vec<u8>, value: Option<[u8; N]>) {
    match value {
        Some(bytes) => {
            key.push(VALUE);
            key.extend_from_slice(&bytes);
        }
        None => key.push(NULL),
    }
}

#[inline]
fn put_bytes(key: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(bytes) => {
            key.push(VALUE);
            // A text of an Arrow array is below 2 GiB.
            key.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            key.extend_from_slice(bytes);
        }
        None => key.push(NULL),
    }
}

/// Appends this row of the columns as a group's key. False, and what was appended is no key, if a column is of no kind.
#[must_use]
pub fn encode_key(columns: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> bool {
    columns.iter().all(|array| RowColumn::of_key(array).map(|column| column.encode(row, out)).is_some())
}

/// Appends this row of the columns, exactly as it is. False, and what was appended is no row, if a column is of no kind.
#[must_use]
pub fn encode(columns: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> bool {
    columns.iter().all(|array| RowColumn::new(array).map(|column| column.encode(row, out)).is_some())
}

/// The columns of these rows. None if one isn't of these kinds: bytes may come from a disk.
pub fn decode<'a>(kinds: &[Kind], rows: impl Iterator<Item = &'a [u8]>) -> Option<Vec<ArrayRef>> {
    let mut columns: Vec<ColumnBuilder> = kinds.iter().map(|kind| ColumnBuilder::new(*kind)).collect();
    for mut row in rows {
        for column in &mut columns {
            row = column.append(row)?;
        }
        if !row.is_empty() {
            return None;
        }
    }
    Some(columns.into_iter().map(ColumnBuilder::finish).collect())
}

enum ColumnBuilder {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Float64(Float64Builder),
    Utf8(StringBuilder),
    Binary(BinaryBuilder),
}

impl ColumnBuilder {
    fn new(kind: Kind) -> ColumnBuilder {
        match kind {
            Kind::Boolean => ColumnBuilder::Boolean(BooleanBuilder::new()),
            Kind::Int64 => ColumnBuilder::Int64(Int64Builder::new()),
            Kind::Timestamp => ColumnBuilder::Timestamp(TimestampMicrosecondBuilder::new()),
            Kind::Float64 => ColumnBuilder::Float64(Float64Builder::new()),
            Kind::Utf8 => ColumnBuilder::Utf8(StringBuilder::new()),
            Kind::Binary => ColumnBuilder::Binary(BinaryBuilder::new()),
        }
    }

    /// Takes this column's value off the row; answers the rest.
    fn append<'a>(&mut self, row: &'a [u8]) -> Option<&'a [u8]> {
        let (tag, rest) = row.split_first()?;
        let valid = match *tag {
            NULL => false,
            VALUE => true,
            _ => return None,
        };
        match self {
            ColumnBuilder::Boolean(column) => {
                take(valid, rest, |[byte]: [u8; 1]| byte != 0, |v| column.append_option(v))
            }
            ColumnBuilder::Int64(column) => take(valid, rest, i64::from_le_bytes, |v| column.append_option(v)),
            ColumnBuilder::Timestamp(column) => take(valid, rest, i64::from_le_bytes, |v| column.append_option(v)),
            ColumnBuilder::Float64(column) => take(valid, rest, f64::from_le_bytes, |v| column.append_option(v)),
            ColumnBuilder::Utf8(column) => {
                let (bytes, rest) = take_bytes(valid, rest)?;
                column.append_option(bytes.map(std::str::from_utf8).transpose().ok()?);
                Some(rest)
            }
            ColumnBuilder::Binary(column) => {
                let (bytes, rest) = take_bytes(valid, rest)?;
                column.append_option(bytes);
                Some(rest)
            }
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            ColumnBuilder::Boolean(mut column) => Arc::new(column.finish()),
            ColumnBuilder::Int64(mut column) => Arc::new(column.finish()),
            ColumnBuilder::Timestamp(mut column) => Arc::new(column.finish()),
            ColumnBuilder::Float64(mut column) => Arc::new(column.finish()),
            ColumnBuilder::Utf8(mut column) => Arc::new(column.finish()),
            ColumnBuilder::Binary(mut column) => Arc::new(column.finish()),
        }
    }
}

fn take<const N: usize, T>(
    valid: bool,
    rest: &[u8],
    value: impl FnOnce([u8; N]) -> T,
    append: impl FnOnce(Option<T>),
) -> Option<&[u8]> {
    if !valid {
        append(None);
        return Some(rest);
    }
    let (bytes, rest) = rest.split_first_chunk::<N>()?;
    append(Some(value(*bytes)));
    Some(rest)
}

fn take_bytes(valid: bool, rest: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if !valid {
        return Some((None, rest));
    }
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((Some(bytes), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_back_as_they_were(
            rows in prop::collection::vec(
                (any::<Option<bool>>(), any::<Option<i64>>(), any::<Option<f64>>(), any::<Option<String>>()),
                0..20,
            ),
        ) {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>()),
                Arc::new(rows.iter().map(|row| row.1).collect::<PrimitiveArray<Int64Type>>()),
                Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
                Arc::new(rows.iter().map(|row| row.3.clone()).collect::<StringArray>()),
            ];
            let encoded: Vec<Vec<u8>> = (0..rows.len()).map(|row| {
                let mut bytes = Vec::new();
                assert!(encode(&columns, row, &mut bytes));
                bytes
            }).collect();
            let kinds = [Kind::Boolean, Kind::Int64, Kind::Float64, Kind::Utf8];
            prop_assert_eq!(decode(&kinds, encoded.iter().map(Vec::as_slice)), Some(columns));
        }

        #[test]
        fn bytes_from_anywhere_are_a_row_or_none(bytes in any::<Vec<u8>>()) {
            for kind in Kind::ALL {
                if let Some(columns) = decode(&[kind, kind], std::iter::once(bytes.as_slice())) {
                    let mut back = Vec::new();
                    prop_assert!(encode(&columns, 0, &mut back));
                    prop_assert_eq!(back.len(), bytes.len());
                }
            }
        }
    }
}
