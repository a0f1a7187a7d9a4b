//! Values into the arguments of a statement, in the protocol's binary form, straight from the Arrow arrays.

use std::ops::Range;

use arrow_array::Array;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::mysql::MySqlArguments;
use sqlx::types::chrono::{DateTime, NaiveDateTime};

use crate::sql::Values;

/// The rows' values, row by row.
pub(super) fn arguments(values: &[Values<'_>], rows: Range<usize>) -> Result<MySqlArguments, BoxDynError> {
    let mut arguments = MySqlArguments::default();
    // Ten bytes beyond the value: its length, or a time's fields.
    let bytes = values.iter().map(|column| column.bytes(rows.clone()) + 10 * rows.len()).sum();
    arguments.reserve(values.len() * rows.len(), bytes);
    for row in rows {
        for column in values {
            add(&mut arguments, column, row)?;
        }
    }
    Ok(arguments)
}

fn add(arguments: &mut MySqlArguments, column: &Values<'_>, row: usize) -> Result<(), BoxDynError> {
    match column {
        Values::Boolean(array) => arguments.add(array.is_valid(row).then(|| array.value(row))),
        Values::Int64(array) => arguments.add(array.is_valid(row).then(|| array.value(row))),
        Values::Float64(array) => arguments.add(array.is_valid(row).then(|| array.value(row))),
        Values::Utf8(array) => arguments.add(array.is_valid(row).then(|| array.value(row))),
        Values::Binary(array) => arguments.add(array.is_valid(row).then(|| array.value(row))),
        Values::Timestamp(array) => {
            arguments.add(array.is_valid(row).then(|| wall_clock(array.value(row))).transpose()?)
        }
        Values::Shown(texts) => arguments.add(texts.get(row)),
    }
}

fn wall_clock(micros: i64) -> Result<NaiveDateTime, BoxDynError> {
    let time = DateTime::from_timestamp_micros(micros).map(|time| time.naive_utc());
    time.ok_or_else(|| format!("the time of {micros} microseconds since 1970 is beyond any calendar").into())
}
