//! Rows as Arrow columns, and which record each row came from.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::take::take;

/// Rows as columns. A column that no later step asks for is none: nobody decoded it.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The rows of every column.
    pub rows: usize,
    /// The columns, in the order of the fields at this place of the chain.
    pub columns: Vec<Option<ArrayRef>>,
    /// The record of each row.
    pub origins: RowOrigins,
}

impl Batch {
    /// Makes a batch without rows and columns.
    pub fn empty() -> Batch {
        Batch { rows: 0, columns: Vec::new(), origins: RowOrigins::from_record(0) }
    }

    /// Returns a batch of the rows with these indices. Each index must be within the batch and given at most once.
    pub fn select(&self, rows: Vec<u32>) -> Batch {
        let origins = self.origins.select(&rows);
        let selection = UInt32Array::from(rows);
        // Of rows that are there, none twice, `take` can always make a column.
        let pick = |column: &Option<ArrayRef>| column.as_ref().and_then(|column| take(column, &selection, None).ok());
        Batch { rows: origins.rows(), columns: self.columns.iter().map(pick).collect(), origins }
    }
}

/// Index of the source record for each row. Rows that follow the records one by one, the usual case, need no list.
#[derive(Debug, Clone)]
pub struct RowOrigins {
    first: usize,
    rows: usize,
    listed: Option<Vec<u32>>,
}

impl RowOrigins {
    /// Makes an empty list. The first row that is added will come from the record `first` or from a later one.
    pub fn from_record(first: usize) -> RowOrigins {
        RowOrigins { first, rows: 0, listed: None }
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row of this record.
    pub fn push(&mut self, record: usize) {
        if self.listed.is_none() && record != self.first + self.rows {
            self.listed = Some((0..self.rows).map(|row| index(self.first + row)).collect());
        }
        if let Some(listed) = &mut self.listed {
            listed.push(index(record));
        }
        self.rows += 1;
    }

    /// The record of this row.
    pub fn record(&self, row: usize) -> usize {
        match &self.listed {
            Some(listed) => listed[row] as usize,
            None => self.first + row,
        }
    }

    /// The origins of the rows that a selection picks.
    pub fn select(&self, selection: &[u32]) -> RowOrigins {
        let listed = selection.iter().map(|row| index(self.record(*row as usize))).collect();
        RowOrigins { first: self.first, rows: selection.len(), listed: Some(listed) }
    }
}

/// Records of one batch are bounded far below `u32::MAX`; saturation keeps the conversion total.
fn index(record: usize) -> u32 {
    u32::try_from(record).unwrap_or(u32::MAX)
}
