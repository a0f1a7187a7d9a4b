//! A row as it is remembered, and rows as columns.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::ArrayRef;
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use hbase_thrift::hbase::TRowResult;
use sluice_core::Kind;
use sluice_core::lookup::{Found, LookupError};

use crate::lookup::LookupColumn;

/// What a row costs beside its key and values: its headers here, its place in the cache.
const ROW_OVERHEAD: usize = 160;

/// A value, checked once, when it came.
#[derive(Debug)]
enum Cell {
    Text(Box<str>),
    Bytes(Box<[u8]>),
}

/// The columns of a row as of some time; or that there was no such row.
#[derive(Debug)]
pub(super) struct Row {
    /// From when on it is to be asked for again.
    pub(super) until: Instant,
    cells: Option<Box<[Option<Cell>]>>,
}

impl Row {
    /// There is no such row.
    pub(super) fn absent(until: Instant) -> Row {
        Row { until, cells: None }
    }

    /// The row that the server gave; refuses a text that isn't UTF-8.
    pub(super) fn present(
        until: Instant,
        table: &str,
        columns: &[LookupColumn],
        mut row: TRowResult,
    ) -> Result<Row, LookupError> {
        let mut values = row.columns.take().unwrap_or_default();
        let cells = columns.iter().map(|(name, kind)| {
            let value = values.remove(name.as_bytes()).and_then(|cell| cell.value);
            value.map(|value| cell(table, &row, name, *kind, value)).transpose()
        });
        Ok(Row { until, cells: Some(cells.collect::<Result<_, _>>()?) })
    }

    /// About how many bytes it takes, with a key of this length.
    pub(super) fn bytes(&self, key: usize) -> usize {
        let cells = self.cells.iter().flatten().flatten();
        let values: usize = cells.map(|cell| size_of::<Cell>() + cell.bytes().len()).sum();
        ROW_OVERHEAD + key + values
    }

    fn cell(&self, column: usize) -> Option<&Cell> {
        self.cells.as_ref()?.get(column)?.as_ref()
    }
}

impl Cell {
    fn bytes(&self) -> &[u8] {
        match self {
            Cell::Text(text) => text.as_bytes(),
            Cell::Bytes(bytes) => bytes,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            Cell::Bytes(_) => None,
        }
    }
}

fn cell(table: &str, row: &TRowResult, column: &str, kind: Kind, value: Vec<u8>) -> Result<Cell, LookupError> {
    if kind == Kind::Binary {
        return Ok(Cell::Bytes(value.into()));
    }
    String::from_utf8(value).map(|text| Cell::Text(text.into())).map_err(|_| {
        let key = String::from_utf8_lossy(row.row.as_deref().unwrap_or_default()).into_owned();
        LookupError::Unusable(format!(
            "`{column}` of HBase's `{table}`, row {key:?}, is no UTF-8 text: correct it, or ask for it as binary"
        ))
    })
}

/// The rows as a lookup's answer.
pub(super) fn found(rows: &[Arc<Row>], columns: &[LookupColumn]) -> Found {
    let arrays = columns.iter().enumerate().map(|(i, (_, kind))| array(rows, i, *kind)).collect();
    Found { found: rows.iter().map(|row| row.cells.is_some()).collect(), columns: arrays }
}

fn array(rows: &[Arc<Row>], column: usize, kind: Kind) -> ArrayRef {
    let bytes = rows.iter().filter_map(|row| row.cell(column)).map(|cell| cell.bytes().len()).sum();
    if kind == Kind::Binary {
        let mut array = BinaryBuilder::with_capacity(rows.len(), bytes);
        rows.iter().for_each(|row| array.append_option(row.cell(column).map(Cell::bytes)));
        return Arc::new(array.finish());
    }
    let mut array = StringBuilder::with_capacity(rows.len(), bytes);
    rows.iter().for_each(|row| array.append_option(row.cell(column).and_then(Cell::text)));
    Arc::new(array.finish())
}
