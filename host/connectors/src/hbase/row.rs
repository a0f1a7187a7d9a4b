//! A row as it is remembered, and rows as columns.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::ArrayRef;
use arrow_array::builder::{BinaryBuilder, StringBuilder};
use hbase_thrift::hbase::TRowResult;
use sluice_core::Kind;
use sluice_core::lookup::Found;

use crate::lookup::LookupColumn;

/// The bytes that a row costs beside its key and values: its headers here, its place in the cache.
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
    /// The moment from which on it is to be asked for again.
    pub(super) until: Instant,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Absent,
    Cells(Box<[Option<Cell>]>),
    /// The row holds something else than what was asked for. The text is the reason.
    Unfit(Box<str>),
}

impl Row {
    /// Makes an entry for a row that the table doesn't have.
    pub(super) fn absent(until: Instant) -> Row {
        Row { until, held: Held::Absent }
    }

    /// Makes an entry for a row that can't be answered, with the reason.
    pub(super) fn unfit(until: Instant, why: String) -> Row {
        Row { until, held: Held::Unfit(why.into()) }
    }

    /// Makes an entry for the row that the server gave; a row with a text that isn't UTF-8 is unfit.
    pub(super) fn present(until: Instant, table: &str, columns: &[LookupColumn], mut row: TRowResult) -> Row {
        let mut values = row.columns.take().unwrap_or_default();
        let cells = columns.iter().map(|(name, kind)| {
            let value = values.remove(name.as_bytes()).and_then(|cell| cell.value);
            value.map(|value| cell(table, &row, name, *kind, value)).transpose()
        });
        match cells.collect() {
            Ok(cells) => Row { until, held: Held::Cells(cells) },
            Err(why) => Row::unfit(until, why),
        }
    }

    /// Returns the approximate bytes of the row, with a key of this length.
    pub(super) fn bytes(&self, key: usize) -> usize {
        let values: usize = match &self.held {
            Held::Absent => 0,
            Held::Cells(cells) => cells.iter().flatten().map(|cell| size_of::<Cell>() + cell.bytes().len()).sum(),
            Held::Unfit(why) => why.len(),
        };
        ROW_OVERHEAD + key + values
    }

    fn is_fit(&self) -> bool {
        matches!(self.held, Held::Cells(_))
    }

    fn why_unfit(&self) -> Option<String> {
        match &self.held {
            Held::Unfit(why) => Some(why.to_string()),
            Held::Absent | Held::Cells(_) => None,
        }
    }

    fn cell(&self, column: usize) -> Option<&Cell> {
        match &self.held {
            Held::Cells(cells) => cells.get(column)?.as_ref(),
            Held::Absent | Held::Unfit(_) => None,
        }
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

fn cell(table: &str, row: &TRowResult, column: &str, kind: Kind, value: Vec<u8>) -> Result<Cell, String> {
    if kind == Kind::Binary {
        return Ok(Cell::Bytes(value.into()));
    }
    String::from_utf8(value).map(|text| Cell::Text(text.into())).map_err(|_| {
        let key = String::from_utf8_lossy(row.row.as_deref().unwrap_or_default()).into_owned();
        format!("`{column}` of HBase's `{table}`, row {key:?}, is no UTF-8 text: correct it, or ask for it as binary")
    })
}

/// The rows as a lookup's answer.
pub(super) fn found(rows: &[Arc<Row>], columns: &[LookupColumn]) -> Found {
    let arrays = columns.iter().enumerate().map(|(i, (_, kind))| array(rows, i, *kind)).collect();
    let unfit = rows.iter().enumerate().filter_map(|(key, row)| Some((key, row.why_unfit()?))).collect();
    Found { found: rows.iter().map(|row| row.is_fit()).collect(), columns: arrays, unfit }
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
