//! A group's key as bytes: what is compared, hashed and stored.
//!
//! Each column adds a tag and, unless it is null, its value: 8 bytes little-endian, one byte for a boolean, or a length
//! (u32, little-endian) and the bytes. The form is self-delimiting, so different keys never share bytes, and it doesn't
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

/// The key columns of one batch.
pub(super) enum KeyColumn<'a> {
    Boolean(&'a BooleanArray),
    Int64(&'a PrimitiveArray<Int64Type>),
    Timestamp(&'a PrimitiveArray<TimestampMicrosecondType>),
    Float64(&'a Float64Array),
    Utf8(&'a StringArray),
    Binary(&'a BinaryArray),
}

impl<'a> KeyColumn<'a> {
    /// The array as a key column; none if its type is of no kind.
    pub(super) fn new(array: &'a ArrayRef) -> Option<KeyColumn<'a>> {
        Some(match array.data_type() {
            DataType::Boolean => KeyColumn::Boolean(array.as_boolean()),
            DataType::Int64 => KeyColumn::Int64(array.as_primitive()),
            DataType::Float64 => KeyColumn::Float64(array.as_primitive::<Float64Type>()),
            DataType::Timestamp(TimeUnit::Microsecond, None) => KeyColumn::Timestamp(array.as_primitive()),
            DataType::Utf8 => KeyColumn::Utf8(array.as_string()),
            DataType::Binary => KeyColumn::Binary(array.as_binary()),
            _ => return None,
        })
    }

    /// Appends this row's part of the key.
    #[inline]
    pub(super) fn encode(&self, row: usize, key: &mut Vec<u8>) {
        match self {
            KeyColumn::Boolean(a) => put(key, a.is_valid(row).then(|| [u8::from(a.value(row))])),
            KeyColumn::Int64(a) => put(key, a.is_valid(row).then(|| a.value(row).to_le_bytes())),
            KeyColumn::Timestamp(a) => put(key, a.is_valid(row).then(|| a.value(row).to_le_bytes())),
            KeyColumn::Float64(a) => put(key, a.is_valid(row).then(|| canonical(a.value(row)).to_le_bytes())),
            KeyColumn::Utf8(a) => put_bytes(key, a.is_valid(row).then(|| a.value(row).as_bytes())),
            KeyColumn::Binary(a) => put_bytes(key, a.is_valid(row).then(|| a.value(row))),
        }
    }
}

/// SQL groups all NaNs together, and 0 with -0.
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

/// The key columns of these keys. None if one isn't of these kinds.
pub(super) fn decode<'a>(kinds: &[Kind], keys: impl Iterator<Item = &'a [u8]>) -> Option<Vec<ArrayRef>> {
    let mut columns: Vec<KeyBuilder> = kinds.iter().map(|kind| KeyBuilder::new(*kind)).collect();
    for mut key in keys {
        for column in &mut columns {
            key = column.append(key)?;
        }
        if !key.is_empty() {
            return None;
        }
    }
    Some(columns.into_iter().map(KeyBuilder::finish).collect())
}

enum KeyBuilder {
    Boolean(BooleanBuilder),
    Int64(Int64Builder),
    Timestamp(TimestampMicrosecondBuilder),
    Float64(Float64Builder),
    Utf8(StringBuilder),
    Binary(BinaryBuilder),
}

impl KeyBuilder {
    fn new(kind: Kind) -> KeyBuilder {
        match kind {
            Kind::Boolean => KeyBuilder::Boolean(BooleanBuilder::new()),
            Kind::Int64 => KeyBuilder::Int64(Int64Builder::new()),
            Kind::Timestamp => KeyBuilder::Timestamp(TimestampMicrosecondBuilder::new()),
            Kind::Float64 => KeyBuilder::Float64(Float64Builder::new()),
            Kind::Utf8 => KeyBuilder::Utf8(StringBuilder::new()),
            Kind::Binary => KeyBuilder::Binary(BinaryBuilder::new()),
        }
    }

    /// Takes this column's part off the key; answers the rest.
    fn append<'a>(&mut self, key: &'a [u8]) -> Option<&'a [u8]> {
        let (tag, rest) = key.split_first()?;
        let valid = *tag == VALUE;
        match self {
            KeyBuilder::Boolean(column) => take(valid, rest, |[byte]: [u8; 1]| byte != 0, |v| column.append_option(v)),
            KeyBuilder::Int64(column) => take(valid, rest, i64::from_le_bytes, |v| column.append_option(v)),
            KeyBuilder::Timestamp(column) => take(valid, rest, i64::from_le_bytes, |v| column.append_option(v)),
            KeyBuilder::Float64(column) => take(valid, rest, f64::from_le_bytes, |v| column.append_option(v)),
            KeyBuilder::Utf8(column) => {
                let (bytes, rest) = take_bytes(valid, rest)?;
                column.append_option(bytes.map(std::str::from_utf8).transpose().ok()?);
                Some(rest)
            }
            KeyBuilder::Binary(column) => {
                let (bytes, rest) = take_bytes(valid, rest)?;
                column.append_option(bytes);
                Some(rest)
            }
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            KeyBuilder::Boolean(mut column) => Arc::new(column.finish()),
            KeyBuilder::Int64(mut column) => Arc::new(column.finish()),
            KeyBuilder::Timestamp(mut column) => Arc::new(column.finish()),
            KeyBuilder::Float64(mut column) => Arc::new(column.finish()),
            KeyBuilder::Utf8(mut column) => Arc::new(column.finish()),
            KeyBuilder::Binary(mut column) => Arc::new(column.finish()),
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
