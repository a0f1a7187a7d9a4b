//! A row of columns as bytes: a group's key, which is compared, hashed and stored, and its state, which is stored.
//!
//! Each column adds a tag and, unless it is null, its value: 4, 8 or 16 bytes little-endian, one byte for a boolean, or a length
//! (u32, little-endian) and the bytes. The form is self-delimiting, so different rows never share bytes, and it doesn't
//! depend on a library's version.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};

use crate::column::{ColumnBuilder, Values};
use crate::schema::Kind;

const NULL: u8 = 0;
const VALUE: u8 = 1;

/// A column whose values become bytes.
pub(crate) enum RowColumn<'a> {
    Values(Values<'a>),
    /// Numbers of a key: those that SQL calls equal become the same bytes.
    Float64Key(&'a Float64Array),
}

impl<'a> RowColumn<'a> {
    /// The array as a column of a key; none if its type is of no kind.
    pub(crate) fn of_key(array: &'a ArrayRef) -> Option<RowColumn<'a>> {
        match array.as_primitive_opt::<Float64Type>() {
            Some(floats) => Some(RowColumn::Float64Key(floats)),
            None => RowColumn::new(array),
        }
    }

    /// The array as a column whose values come back as they are; none if its type is of no kind.
    pub(crate) fn new(array: &'a ArrayRef) -> Option<RowColumn<'a>> {
        Values::of(array).map(RowColumn::Values)
    }

    /// Appends this row's value.
    #[inline]
    pub(crate) fn encode(&self, row: usize, key: &mut Vec<u8>) {
        match self {
            RowColumn::Values(Values::Bits(a)) => put(key, a.is_valid(row).then(|| [u8::from(a.value(row))])),
            RowColumn::Values(Values::Four(values)) => put(key, values.get(row)),
            RowColumn::Values(Values::Eight(values)) => put(key, values.get(row)),
            RowColumn::Values(Values::Sixteen(values)) => put(key, values.get(row)),
            RowColumn::Values(Values::Bytes(values)) => put_bytes(key, values.get(row)),
            RowColumn::Float64Key(a) => put(key, a.is_valid(row).then(|| canonical(a.value(row)).to_le_bytes())),
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
            row = append(column, row)?;
        }
        if !row.is_empty() {
            return None;
        }
    }
    Some(columns.iter_mut().map(ColumnBuilder::finish).collect())
}

/// Takes a column's value off the row; answers the rest.
fn append<'a>(column: &mut ColumnBuilder, row: &'a [u8]) -> Option<&'a [u8]> {
    let (tag, rest) = row.split_first()?;
    let valid = match *tag {
        NULL => false,
        VALUE => true,
        _ => return None,
    };
    if !valid {
        column.append_null();
        return Some(rest);
    }
    match column {
        ColumnBuilder::Bits(column) => {
            let (byte, rest) = rest.split_first()?;
            column.append_value(*byte != 0);
            Some(rest)
        }
        ColumnBuilder::Fixed(column) => {
            let (value, rest) = rest.split_at_checked(column.width())?;
            column.append_bytes(value);
            Some(rest)
        }
        ColumnBuilder::Utf8(column) => {
            let (bytes, rest) = take_bytes(rest)?;
            column.append_value(std::str::from_utf8(bytes).ok()?);
            Some(rest)
        }
        ColumnBuilder::Binary(column) => {
            let (bytes, rest) = take_bytes(rest)?;
            column.append_value(bytes);
            Some(rest)
        }
    }
}

fn take_bytes(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = rest.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BooleanArray, Decimal128Array, Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_come_back_as_they_were(
            rows in prop::collection::vec(
                (
                    any::<Option<bool>>(), any::<Option<i64>>(), any::<Option<f64>>(), any::<Option<String>>(),
                    any::<Option<i64>>(),
                ),
                0..20,
            ),
        ) {
            let decimal = "decimal(20, 3)".parse::<Kind>().unwrap();
            let decimals = rows.iter().map(|row| row.4.map(i128::from)).collect::<Decimal128Array>();
            let columns: Vec<ArrayRef> = vec![
                Arc::new(rows.iter().map(|row| row.0).collect::<BooleanArray>()),
                Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
                Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
                Arc::new(rows.iter().map(|row| row.3.clone()).collect::<StringArray>()),
                Arc::new(decimals.with_precision_and_scale(20, 3).unwrap()),
            ];
            let encoded: Vec<Vec<u8>> = (0..rows.len()).map(|row| {
                let mut bytes = Vec::new();
                assert!(encode(&columns, row, &mut bytes));
                bytes
            }).collect();
            let kinds = [Kind::Boolean, Kind::Int64, Kind::Float64, Kind::Utf8, decimal];
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
