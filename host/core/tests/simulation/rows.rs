//! The host's columns as rows that can be compared.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, ArrowPrimitiveType};

use crate::dimension;

/// Start and end of a window: the end is outside.
pub type Span = (i64, i64);

/// Subject of a row: a key, and a window if there are any.
pub type Group = (i64, Option<Span>);

/// A row of the table.
pub type Row = (Group, i64);

/// Rows of a group's columns, and one more.
pub fn rows(columns: &[ArrayRef]) -> Vec<Row> {
    let (key, value) = match columns {
        // Of no batches there are no columns.
        [] => return Vec::new(),
        [key, value, names] => {
            are_the_names_of(names, key);
            (std::slice::from_ref(key), value)
        }
        [key @ .., value] => (key, value),
    };
    groups(key).into_iter().zip(numbers(value)).collect()
}

/// Holds what was looked up against the table.
fn are_the_names_of(names: &ArrayRef, keys: &ArrayRef) {
    for (name, key) in names.as_string::<i32>().iter().zip(numbers(keys)) {
        assert_eq!(name.map(str::to_owned), dimension::name(key), "the name of {key}");
    }
}

/// Groups of a key, and the bounds of a window if there are any.
pub fn groups(columns: &[ArrayRef]) -> Vec<Group> {
    let keys = numbers(&columns[0]);
    let spans: Vec<Option<Span>> = match columns {
        [_, start, end] => times(start).into_iter().zip(times(end)).map(Some).collect(),
        _ => vec![None; keys.len()],
    };
    keys.into_iter().zip(spans).collect()
}

pub fn numbers(column: &ArrayRef) -> Vec<i64> {
    values::<Int64Type>(column)
}

fn times(column: &ArrayRef) -> Vec<i64> {
    values::<TimestampMicrosecondType>(column)
}

fn values<T: ArrowPrimitiveType>(column: &ArrayRef) -> Vec<T::Native> {
    column.as_primitive::<T>().values().to_vec()
}
