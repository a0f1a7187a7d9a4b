//! Rows for tables: columns of one length.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_schema::DataType;
use arrow_select::take::take;

use crate::time;

/// Rows as columns, in the order of the fields that they are of, all of the same length.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The number of rows of every column.
    pub rows: usize,
    /// A column for each field.
    pub columns: Vec<ArrayRef>,
}

impl Rows {
    /// The rows without these ones, which come in their order and each once; and the places that the others had.
    pub fn without(&self, gone: impl IntoIterator<Item = usize>) -> Result<(Rows, Vec<u32>), String> {
        let mut gone = gone.into_iter().peekable();
        // Rows of a batch are bounded far below u32::MAX.
        let kept: Vec<u32> =
            (0u32..).take(self.rows).filter(|row| gone.next_if_eq(&(*row as usize)).is_none()).collect();
        Ok((self.select(kept.clone())?, kept))
    }

    /// Picks these of the rows.
    pub fn select(&self, rows: Vec<u32>) -> Result<Rows, String> {
        let selection = UInt32Array::from(rows);
        let columns = self.columns.iter().map(|column| take(column, &selection, None).map_err(|e| e.to_string()));
        Ok(Rows { rows: selection.len(), columns: columns.collect::<Result<_, _>>()? })
    }

    /// Returns the approximate memory that the rows take, in bytes.
    pub fn memory(&self) -> usize {
        self.columns.iter().map(|column| column.get_buffer_memory_size()).sum()
    }
}

/// The values of a row as people read them, such as `7, Paris, null`.
pub fn shown_row(columns: &[ArrayRef], row: usize) -> String {
    let shown = |column: &ArrayRef| match column.data_type() {
        _ if column.is_null(row) => "null".to_owned(),
        DataType::Boolean => column.as_boolean().value(row).to_string(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Utf8 => column.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => column.as_binary::<i32>().value(row).iter().map(|byte| format!("{byte:02x}")).collect(),
        DataType::Timestamp(..) => {
            let micros = column.as_primitive::<TimestampMicrosecondType>().value(row);
            time::shown(micros).unwrap_or_else(|| micros.to_string())
        }
        other => other.to_string(),
    };
    columns.iter().map(shown).collect::<Vec<_>>().join(", ")
}
