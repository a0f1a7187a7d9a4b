//! A table's rows for a pipeline's lane.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_core::lookup::{Found, Lookup, LookupError};

use super::cache::RowCache;
use super::call::{Unanswered, multi_get};
use super::pool::Pool;
use super::protocol::MAX_LIST;
use super::row::{self, Row};
use crate::lookup::{InstantSource, LookupColumn};

/// The most keys in a call. A call for a thousand takes 7 ms, so more would save nothing and make answers large.
const KEYS_PER_CALL: usize = 1000;
const _: () = assert!(KEYS_PER_CALL <= MAX_LIST);

/// The longest row key that HBase has (`HConstants.MAX_ROW_LENGTH`).
const MAX_KEY: usize = i16::MAX as usize;

/// The time that a batch waits for a server that is away before the pipeline is told. Longer hides short restarts and delays
/// the word that something is wrong, and a stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause before a server that is away is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Columns of an HBase table, by row key.
pub struct HbaseLookup {
    pool: Arc<Pool>,
    /// Cache of rows; with none, every batch asks the server.
    cache: Option<Arc<RowCache>>,
    clock: InstantSource,
    table: String,
    columns: Vec<LookupColumn>,
}

impl HbaseLookup {
    pub(super) fn new(
        pool: Arc<Pool>,
        cache: Option<Arc<RowCache>>,
        clock: InstantSource,
        table: &str,
        columns: &[LookupColumn],
    ) -> HbaseLookup {
        HbaseLookup { pool, cache, clock, table: table.into(), columns: columns.to_vec() }
    }

    /// Asks the server for the rows of these keys, and waits while it is away. If an answer is too large, asks for each half of
    /// the keys, down to a single row that is too large by itself.
    fn ask(&self, keys: &[&[u8]]) -> Result<Vec<Arc<Row>>, LookupError> {
        let patient_until = (self.clock)() + PATIENCE;
        loop {
            match multi_get(&self.pool, &self.table, &self.columns, keys) {
                Err(Unanswered::Failed(LookupError::Unavailable(_))) if (self.clock)() < patient_until => {
                    sluice_clock::sleep(PAUSE);
                }
                Err(Unanswered::Failed(e)) => return Err(e),
                Err(Unanswered::TooLarge(why)) if keys.len() > 1 => {
                    tracing::debug!("HBase's `{}`: {why}; asking for half of {} rows", self.table, keys.len());
                    let (first, second) = keys.split_at(keys.len() / 2);
                    return Ok([self.ask(first)?, self.ask(second)?].concat());
                }
                Err(Unanswered::TooLarge(why)) => return Ok(vec![Arc::new(self.too_large(keys, &why))]),
                Ok(rows) => return Ok(self.aligned(keys, rows)),
            }
        }
    }

    fn too_large(&self, keys: &[&[u8]], why: &str) -> Row {
        let key = keys.first().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default();
        Row::unfit(self.until(), format!("HBase's `{}`, row {key:?}, is too large to be read: {why}", self.table))
    }

    fn until(&self) -> Instant {
        let now = (self.clock)();
        self.cache.as_ref().map_or(now, |cache| cache.until(now))
    }

    /// The server's rows in the order of the keys; a key that it doesn't have is simply not in its answer.
    fn aligned(&self, keys: &[&[u8]], rows: Vec<hbase_thrift::hbase::TRowResult>) -> Vec<Arc<Row>> {
        let until = self.until();
        let mut by_key: HashMap<Vec<u8>, _, foldhash::fast::RandomState> =
            rows.into_iter().filter_map(|row| Some((row.row.clone()?, row))).collect();
        let row = |key: &&[u8]| match by_key.remove(*key) {
            Some(row) => Row::present(until, &self.table, &self.columns, row),
            None => Row::absent(until),
        };
        keys.iter().map(row).map(Arc::new).collect()
    }

    /// The rows that needn't be asked for: those remembered, and those of keys that no row of HBase can have, which HBase
    /// takes for an error.
    fn known(&self, keys: &[&[u8]]) -> Vec<Option<Arc<Row>>> {
        let now = (self.clock)();
        let impossible = |key: &[u8]| key.is_empty() || key.len() > MAX_KEY;
        let known = |key: &&[u8]| {
            if impossible(key) {
                return Some(Arc::new(Row::absent(now)));
            }
            self.cache.as_ref().and_then(|cache| cache.get(key, now))
        };
        keys.iter().map(known).collect()
    }

    fn remember(&self, keys: &[&[u8]], rows: &[Arc<Row>]) {
        if let Some(cache) = &self.cache {
            keys.iter().zip(rows).for_each(|(key, row)| cache.insert(key, Arc::clone(row)));
        }
    }
}

impl Lookup for HbaseLookup {
    fn get(&mut self, keys: &[&[u8]]) -> Result<Found, LookupError> {
        let known = self.known(keys);
        let missing: Vec<_> = keys.iter().zip(&known).filter(|(_, row)| row.is_none()).map(|(key, _)| *key).collect();
        let mut asked = Vec::with_capacity(missing.len());
        for chunk in missing.chunks(KEYS_PER_CALL) {
            let rows = self.ask(chunk)?;
            self.remember(chunk, &rows);
            asked.extend(rows);
        }
        let mut asked = asked.into_iter();
        // As many were asked for as were not known.
        let rows: Vec<_> = known.into_iter().filter_map(|row| row.or_else(|| asked.next())).collect();
        Ok(row::found(&rows, &self.columns))
    }
}
