//! Rows for the sinks' tests.
#![allow(dead_code, reason = "each test file uses some of these")]

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use sluice_connectors::sink::{Rows, Target};
use sluice_core::{Field, Kind};

/// 2021-08-16 09:48:01, as wall-clock microseconds.
pub const MORNING: i64 = 1_629_107_281_000_000;

pub fn target(table: &str, key: &[&str], create: bool) -> Target {
    Target { table: table.into(), key: key.iter().map(|name| name.to_string()).collect(), create, ..Target::default() }
}

pub fn fields(fields: &[(&str, Kind)]) -> Vec<Field> {
    fields.iter().map(|(name, kind)| Field::new(*name, *kind)).collect()
}

pub fn rows(columns: Vec<ArrayRef>) -> Rows {
    Rows { rows: columns[0].len(), columns }
}

pub fn ints(values: impl IntoIterator<Item = impl Into<Option<i64>>>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Int64Array>())
}

pub fn texts<'a>(values: impl IntoIterator<Item = impl Into<Option<&'a str>>>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<StringArray>())
}

pub fn times(values: impl IntoIterator<Item = impl Into<Option<i64>>>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<TimestampMicrosecondArray>())
}
