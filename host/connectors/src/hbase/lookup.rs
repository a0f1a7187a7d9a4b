//! A table of HBase, as it is asked.

use std::collections::HashMap;
use std::sync::Arc;

use hbase_thrift::hbase::TRowResult;
use sluice_core::Kind;

use super::call::multi_get;
use super::pool::Pool;
use super::protocol::MAX_LIST;
use crate::lookup::{Answer, Asked, Cell, LookupColumn, LookupTable, Unanswered, cell};

/// The most keys in a call. A call for a thousand takes 7 ms, so more would save nothing and make answers large.
const KEYS_PER_CALL: usize = 1000;
const _: () = assert!(KEYS_PER_CALL <= MAX_LIST);

/// The longest row key that HBase has (`HConstants.MAX_ROW_LENGTH`).
const MAX_KEY: usize = i16::MAX as usize;

/// Columns of an HBase table, by row key.
///
/// A row that has none of the columns counts as absent: HBase doesn't tell the two apart.
pub(super) struct HbaseTable {
    pool: Arc<Pool>,
    what: LookupTable,
}

impl HbaseTable {
    pub(super) fn new(pool: Arc<Pool>, what: &LookupTable) -> HbaseTable {
        HbaseTable { pool, what: what.clone() }
    }

    /// The row's key in HBase; none if no row can have it, which HBase takes for an error.
    fn row_key(&self, key: &[u8]) -> Option<Vec<u8>> {
        let row_key = match self.what.key.encoding {
            None => key.to_vec(),
            Some(encoding) => encoding.key(key)?,
        };
        (1..=MAX_KEY).contains(&row_key.len()).then_some(row_key)
    }

    fn answer(&self, key: &[u8], mut row: TRowResult) -> Answer {
        let mut values = row.columns.take().unwrap_or_default();
        Answer::of(self.what.columns.iter().map(|column| {
            let value = values.remove(column.name.as_bytes()).and_then(|cell| cell.value);
            let Some(value) = value else { return Ok(cell::null(column.kind)) };
            read(column, &value).ok_or_else(|| self.misfit(key, column))
        }))
    }

    fn misfit(&self, key: &[u8], column: &LookupColumn) -> String {
        let what = match column.encoding {
            Some(encoding) => format!("are not the bytes of a {}", encoding.name()),
            None if column.kind == Kind::Utf8 => "is no UTF-8 text".to_owned(),
            None => format!("is no text of a {}", column.kind),
        };
        format!(
            "`{}` of HBase's `{}`, row {:?}, {what}: correct it, or ask for it as binary",
            column.name,
            self.what.table,
            String::from_utf8_lossy(key)
        )
    }
}

fn read(column: &LookupColumn, value: &[u8]) -> Option<Cell> {
    match (column.encoding, column.kind) {
        (Some(encoding), _) => cell::decoded(encoding, value),
        (None, Kind::Binary) => Some(cell::binary(value)),
        (None, kind) => cell::of_text(kind, std::str::from_utf8(value).ok()?),
    }
}

impl Asked for HbaseTable {
    fn keys_per_call(&self) -> usize {
        KEYS_PER_CALL
    }

    fn is_impossible(&self, key: &[u8]) -> bool {
        self.row_key(key).is_none()
    }

    /// Puts the server's rows in the order of the keys; a key that it doesn't have is simply not in its answer.
    fn ask(&mut self, keys: &[&[u8]]) -> Result<Vec<Answer>, Unanswered> {
        // All of them are possible.
        let row_keys: Vec<_> = keys.iter().map(|key| self.row_key(key).unwrap_or_default()).collect();
        let rows = multi_get(&self.pool, &self.what, &row_keys)?;
        let mut by_key: HashMap<Vec<u8>, _, foldhash::fast::RandomState> =
            rows.into_iter().filter_map(|row| Some((row.row.clone()?, row))).collect();
        let answer = |(key, row_key): (&&[u8], &Vec<u8>)| match by_key.remove(row_key) {
            Some(row) => self.answer(key, row),
            None => Answer::Absent,
        };
        Ok(keys.iter().zip(&row_keys).map(answer).collect())
    }

    fn name(&self) -> String {
        format!("HBase's `{}`", self.what.table)
    }
}
