//! Values to the contract's buffers and back, through the readers and writers that metrics use.

use super::table::Value;
use crate::contract::{Batch, Column, Kind};
use crate::read::{Read, Reader};
use crate::write::{Write, Writer};
use crate::{Timestamp, fixed, testing::Table};

impl Table {
    /// These columns, in this order, as a batch.
    pub(super) fn batch(&self, columns: &[u32]) -> Result<Batch, String> {
        let column = |index: &u32| {
            let index = *index as usize;
            let (_, kind) = self.columns.get(index).ok_or_else(|| format!("the plan reads column {index}"))?;
            encode(*kind, self.rows.iter().map(|row| &row[index]))
        };
        let columns = columns.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Batch { rows: self.rows.len() as u32, columns })
    }
}

/// The column of these values.
pub(super) fn encode<'a>(kind: Kind, values: impl ExactSizeIterator<Item = &'a Value>) -> Result<Column, String> {
    match kind {
        Kind::Boolean => write(values, |value| if let Value::Boolean(it) = value { Some(*it) } else { None }),
        Kind::Int64 => write(values, |value| if let Value::Int64(it) = value { Some(*it) } else { None }),
        Kind::Float64 => write(values, |value| if let Value::Float64(it) = value { Some(*it) } else { None }),
        Kind::Utf8 => write(values, |value| if let Value::Utf8(it) = value { Some(it.as_str()) } else { None }),
        Kind::Binary => write(values, |value| if let Value::Binary(it) = value { Some(it.as_slice()) } else { None }),
        Kind::Timestamp => write(values, |value| if let Value::Timestamp(it) = value { Some(*it) } else { None }),
        kind => write_fixed(kind, values),
    }
}

fn write<'a, T: Write>(
    values: impl ExactSizeIterator<Item = &'a Value>,
    of: impl Fn(&'a Value) -> Option<T>,
) -> Result<Column, String> {
    let rows = values.len();
    let mut writer = Writer::with_rows(rows);
    for (row, value) in values.enumerate() {
        writer.write(row, of(value));
    }
    writer.finish(rows)
}

/// The values of a column of `rows` rows.
pub(super) fn decode(kind: Kind, column: &Column, rows: usize) -> Result<Vec<Value>, String> {
    match kind {
        Kind::Boolean => read(column, rows, Value::Boolean),
        Kind::Int64 => read(column, rows, Value::Int64),
        Kind::Float64 => read(column, rows, Value::Float64),
        Kind::Utf8 => read(column, rows, |text: &str| Value::Utf8(text.to_owned())),
        Kind::Binary => read(column, rows, |bytes: &[u8]| Value::Binary(bytes.to_owned())),
        Kind::Timestamp => read::<Timestamp>(column, rows, Value::Timestamp),
        kind => Ok(read_fixed(kind, column, rows)),
    }
}

fn read<'a, T: Read<'a>>(column: &'a Column, rows: usize, value: impl Fn(T) -> Value) -> Result<Vec<Value>, String> {
    let reader = Reader::<T>::new(Some(column), rows)?;
    Ok((0..rows).map(|row| reader.read::<true>(row).map_or(Value::Null, &value)).collect())
}

/// The column of these values, each the lowest bytes of its integer.
fn write_fixed<'a>(kind: Kind, values: impl ExactSizeIterator<Item = &'a Value>) -> Result<Column, String> {
    let (rows, width) = (values.len(), fixed::width(kind));
    let (mut validity, mut bytes) = (vec![0; rows.div_ceil(8)], Vec::with_capacity(rows * width));
    for (row, value) in values.enumerate() {
        let value = if let Value::Fixed(_, value) = value { Some(*value) } else { None };
        validity[row / 8] |= u8::from(value.is_some()) << (row % 8);
        bytes.extend_from_slice(&value.unwrap_or_default().to_le_bytes()[..width]);
    }
    Ok(Column { validity: Some(validity), offsets: Vec::new(), values: bytes })
}

fn read_fixed(kind: Kind, column: &Column, rows: usize) -> Vec<Value> {
    let is_null = |row: usize| column.validity.as_ref().is_some_and(|bits| bits[row / 8] >> (row % 8) & 1 == 0);
    let value = |(row, bytes): (usize, &[u8])| {
        if is_null(row) {
            return Value::Null;
        }
        let negative = bytes.last().is_some_and(|last| *last > 127);
        let mut all = [if negative { 0xff } else { 0 }; 16];
        all[..bytes.len()].copy_from_slice(bytes);
        Value::Fixed(kind, i128::from_le_bytes(all))
    };
    column.values.chunks_exact(fixed::width(kind)).take(rows).enumerate().map(value).collect()
}
