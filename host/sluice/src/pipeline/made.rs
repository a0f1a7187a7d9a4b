//! Rows that wait to be written, and what made them: a table may refuse one, which is then that record's or group's fault.

use sluice_connectors::sink::{Refused, Rows};
use sluice_core::batch::RowOrigins;
use sluice_core::kept::KeptRecords;
use sluice_core::records::Records;

use super::constraint;

/// Some rows.
#[derive(Debug)]
pub struct Made {
    pub rows: Rows,
    pub by: Maker,
}

/// What made them.
#[derive(Debug)]
pub enum Maker {
    /// Records, one by one: for each row which of them.
    Records { kept: KeptRecords, of_row: Vec<usize> },
    /// Each row is a fold's group, whose key these first columns are.
    Groups { keys: usize },
}

impl Made {
    /// Rows of records, which are kept `whole` if letters are made of those at fault.
    pub fn of_records(records: &dyn Records, rows: Rows, origins: &RowOrigins, whole: bool) -> Made {
        let origins: Vec<usize> = (0..rows.rows).map(|row| origins.record(row)).collect();
        let mut distinct = origins.clone();
        if !distinct.is_sorted() {
            distinct.sort_unstable();
        }
        distinct.dedup();
        let mut of_row = Vec::with_capacity(rows.rows);
        for origin in &origins {
            let last = of_row.last().copied().unwrap_or_default();
            // Nearly always that of the row before, or the next.
            let near = [last, last + 1].into_iter().find(|place| distinct.get(*place) == Some(origin));
            of_row.push(near.unwrap_or_else(|| distinct.partition_point(|record| record < origin)));
        }
        Made { rows, by: Maker::Records { kept: KeptRecords::of(records, &distinct, whole), of_row } }
    }

    /// Rows of a fold's groups.
    pub fn of_groups(rows: Rows, keys: usize) -> Made {
        Made { rows, by: Maker::Groups { keys } }
    }

    /// About what they take of memory.
    pub fn memory(&self) -> usize {
        let columns: usize = self.rows.columns.iter().map(|column| column.get_buffer_memory_size()).sum();
        let kept = match &self.by {
            Maker::Records { kept, of_row } => kept.memory() + of_row.capacity() * size_of::<usize>(),
            Maker::Groups { .. } => 0,
        };
        columns + kept
    }

    /// Takes these rows out; they come in their order.
    pub fn take_out(&mut self, refused: &[Refused]) -> Result<(), String> {
        let (columns, left) = constraint::without(&self.rows.columns, self.rows.rows, refused)?;
        self.rows = Rows { rows: left.len(), columns };
        if let Maker::Records { of_row, .. } = &mut self.by {
            *of_row = left.into_iter().map(|row| of_row[row as usize]).collect();
        }
        Ok(())
    }
}
