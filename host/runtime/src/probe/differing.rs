//! Comparison of answers that must be the same.

use arrow_array::{Array, ArrayRef};
use sluice_core::operator::{OperatorError, Produced};

/// The most characters of a value that are shown.
const SHOWN: usize = 60;

/// The place where two lists of columns differ first, as a sentence; none if they don't. `names` are the columns'.
pub(super) fn columns(names: &[String], one: &[ArrayRef], other: &[ArrayRef]) -> Option<String> {
    names.iter().zip(one.iter().zip(other)).find_map(|(name, (one, other))| {
        if one.len() != other.len() {
            return Some(format!("`{name}` has {} rows, and {}", one.len(), other.len()));
        }
        let row = (0..one.len()).find(|row| *one.slice(*row, 1) != *other.slice(*row, 1))?;
        Some(format!("`{name}` in row {row} is {}, and {}", value(one, row), value(other, row)))
    })
}

/// The place where two answers of `process` differ first, whose selections are written out.
pub(super) fn produced(names: &[String], one: &Produced, other: &Produced) -> Option<String> {
    if one.selection != other.selection {
        return Some("other rows are kept".to_owned());
    }
    let rejected = |produced: &Produced| {
        let mut rows: Vec<_> = produced.rejected.iter().map(|r| (r.row, r.reason.clone())).collect();
        rows.sort_unstable();
        rows
    };
    if rejected(one) != rejected(other) {
        return Some("other rows are rejected, or for other reasons".to_owned());
    }
    columns(names, &one.columns, &other.columns)
}

/// Compares answers that may be errors; an error is the same as another of its sort.
pub(super) fn answers<T>(
    one: &Result<T, OperatorError>,
    other: &Result<T, OperatorError>,
    compare: impl FnOnce(&T, &T) -> Option<String>,
) -> Option<String> {
    match (one, other) {
        (Ok(one), Ok(other)) => compare(one, other),
        (Err(_), Err(_)) => None,
        (Ok(_), Err(error)) => Some(format!("an answer, and then: {error}")),
        (Err(error), Ok(_)) => Some(format!("no answer ({error}), and then one")),
    }
}

fn value(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    // Arrow shows an array of one row as `Name<…>\n[\n  value,\n]`.
    let shown = format!("{:?}", array.slice(row, 1));
    let inner = shown.split_once("[\n").map_or(shown.as_str(), |(_, inner)| inner);
    let inner = inner.trim().trim_end_matches(']').trim().trim_end_matches(',');
    inner.chars().take(SHOWN).collect()
}
