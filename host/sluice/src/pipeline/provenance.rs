//! Generation of the code that wrote a row: the column `_generation` of sinks that want it.
//!
//! A flush's rows are all of one generation: before others take over, what the old ones made is handed to the flusher.

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
