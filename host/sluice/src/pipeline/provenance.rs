//! Which code wrote a row: the column `_generation` of sinks that want it.
//!
//! A flush's rows are all of one generation: before others take over, what the old ones made is handed to the flusher.

use std::sync::Arc;

use arrow_array::Int64Array;
use sluice_connectors::sink::Rows;
use sluice_core::{Field, Kind};

use crate::config::Sink;

/// The column's name. Those of a result that begin so are the host's.
const COLUMN: &str = "_generation";

/// The columns that a sink writes of these rows, or why it can't.
pub fn written(sink: &Sink, fields: &[Field]) -> Result<Vec<Field>, String> {
    let mut written = fields.to_vec();
    if !sink.generation {
        return Ok(written);
    }
    if fields.iter().any(|field| field.name == COLUMN) {
        let table = &sink.table;
        return Err(format!(
            "the result has a column `{COLUMN}` of its own: name it otherwise, or leave out `generation` of {table}"
        ));
    }
    written.push(Field::new(COLUMN, Kind::Int64));
    Ok(written)
}

/// The rows, with the generation that made them.
pub fn with_generation(mut rows: Rows, generation: u64) -> Rows {
    let generation = i64::try_from(generation).unwrap_or(i64::MAX);
    rows.columns.push(Arc::new(Int64Array::from_value(generation, rows.rows)));
    rows
}
