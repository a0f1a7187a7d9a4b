//! The columns of a flush, by their kind.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use sluice_core::Kind;
use sluice_core::column::Texts;

use super::plan::UpsertPlan;
use crate::sink::{Rows, SinkError};

/// The most bytes of a value's text: a decimal has up to 38 digits, a sign, a point and a zero before it.
const SHOWN_BYTES: usize = 41;

/// A column of rows to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values<'a> {
    Boolean(&'a BooleanArray),
    Int64(&'a Int64Array),
    Float64(&'a Float64Array),
    Utf8(&'a StringArray),
    Binary(&'a BinaryArray),
    Timestamp(&'a TimestampMicrosecondArray),
    /// Values of any other kind: both databases read them from their texts.
    Shown(Texts<'a>),
}

impl<'a> Values<'a> {
    /// The array as a column of this kind, if it is one.
    pub(crate) fn of(array: &'a ArrayRef, kind: Kind) -> Option<Values<'a>> {
        Some(match kind {
            Kind::Boolean => Values::Boolean(array.as_boolean_opt()?),
            Kind::Int64 => Values::Int64(array.as_primitive_opt::<Int64Type>()?),
            Kind::Float64 => Values::Float64(array.as_primitive_opt::<Float64Type>()?),
            Kind::Utf8 => Values::Utf8(array.as_string_opt::<i32>()?),
            Kind::Binary => Values::Binary(array.as_binary_opt::<i32>()?),
            Kind::Timestamp => Values::Timestamp(array.as_primitive_opt::<TimestampMicrosecondType>()?),
            kind => Values::Shown(Texts::of(array).filter(|_| *array.data_type() == kind.data_type())?),
        })
    }

    /// Returns the approximate bytes of these rows in a statement.
    pub(crate) fn bytes(&self, rows: Range<usize>) -> usize {
        let span = |offsets: &[i32]| (offsets[rows.end] - offsets[rows.start]) as usize;
        match self {
            Values::Utf8(texts) => span(texts.value_offsets()),
            Values::Binary(bytes) => span(bytes.value_offsets()),
            Values::Shown(_) => rows.len() * SHOWN_BYTES,
            _ => rows.len() * size_of::<i64>(),
        }
    }
}

impl UpsertPlan {
    /// The rows' columns by the kinds that were planned. Refuses rows that the plan isn't for, and nulls in the key: no
    /// unique index would find them again.
    pub(crate) fn values<'a>(&self, rows: &'a Rows) -> Result<Vec<Values<'a>>, SinkError> {
        if rows.columns.len() != self.fields.len() {
            return Err(self.misfit(format!("{} columns for {}", rows.columns.len(), self.fields.len())));
        }
        let columns = self.fields.iter().zip(&rows.columns);
        columns
            .map(|(field, array)| {
                if array.len() != rows.rows {
                    return Err(self.misfit(format!("{} values in `{}` of {}", array.len(), field.name, rows.rows)));
                }
                if self.is_key(&field.name) && array.null_count() > 0 {
                    return Err(self.misfit(format!("null in the key column `{}`", field.name)));
                }
                Values::of(array, field.kind)
                    .ok_or_else(|| self.misfit(format!("{} for the column {field}", array.data_type())))
            })
            .collect()
    }

    fn misfit(&self, what: String) -> SinkError {
        SinkError::Unusable(format!("table `{}` can't take these rows: {what}", self.target.table))
    }
}
