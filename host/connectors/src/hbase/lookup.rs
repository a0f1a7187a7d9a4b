//! A table's rows for a pipeline's lane.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_core::lookup::{Found, Lookup, LookupError};

use super::cache::RowCache;
use super::call::multi_get;
use super::pool::Pool;
use super::protocol::MAX_LIST;
use super::row::{self, Row};
use crate::lookup::{Clock, LookupColumn};

/// The most keys in a call. A call for a thousand takes 7 ms, so more would save nothing and make answers large.
const KEYS_PER_CALL: usize = 1000;
const _: () = assert!(KEYS_PER_CALL <= MAX_LIST);

/// How long a batch waits for a server that is away before the pipeline is told. Longer hides short restarts and delays
/// the word that something is wrong, and a stop.
const PATIENCE: Duration = Duration::from_secs(2);

/// The pause before a server that is away is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// Columns of an HBase table, by row key.
pub struct HbaseLookup {
    pool: Arc<Pool>,
    /// None: every batch asks the server.
    cache: Option<Arc<RowCache>>,
    clock: Clock,
    table: String,
    columns: Vec<LookupColumn>,
}

impl HbaseLookup {
    pub(super) fn new(
        pool: Arc<Pool>,
        cache: Option<Arc<RowCache>>,
        clock: Clock,
        table: &str,
        columns: &[LookupColumn],
    ) -> HbaseLookup {
        HbaseLookup { pool, cache, clock, table: table.into(), columns: columns.to_vec() }
    }

    /// The rows of these keys from the server, waiting for one that is away.
    fn ask(&self, keys: &[&[u8]]) -> Result<Vec<Arc<Row>>, LookupError> {
        let patient_until = (self.clock)() + PATIENCE;
        loop {
            match multi_get(&self.pool, &self.table, &self.columns, keys) {
                Err(LookupError::Unavailable(_)) if (self.clock)() < patient_until => std::thread::sleep(PAUSE),
                Err(e) => return Err(e),
                Ok(rows) => return self.aligned(keys, rows),
            }
        }
    }

    /// The server's rows in the order of the keys; a key that it doesn't have is simply not in its answer.
    fn aligned(
        &self,
        keys: &[&[u8]],
        rows: Vec<hbase_thrift::hbase::TRowResult>,
    ) -> Result<Vec<Arc<Row>>, LookupError> {
        let now = (self.clock)();
        let until = self.cache.as_ref().map_or(now, |cache| cache.until(now));
        let mut by_key: HashMap<Vec<u8>, _, foldhash::fast::RandomState> =
            rows.into_iter().filter_map(|row| Some((row.row.clone()?, row))).collect();
        keys.iter()
            .map(|key| match by_key.remove(*key) {
                Some(row) => Row::present(until, &self.table, &self.columns, row).map(Arc::new),
                None => Ok(Arc::new(Row::absent(until))),
            })
            .collect()
    }

    fn remembered(&self, keys: &[&[u8]], now: Instant) -> Vec<Option<Arc<Row>>> {
        match &self.cache {
            Some(cache) => keys.iter().map(|key| cache.get(key, now)).collect(),
            None => vec![None; keys.len()],
        }
    }

    fn remember(&self, keys: &[&[u8]], rows: &[Arc<Row>]) {
        if let Some(cache) = &self.cache {
            keys.iter().zip(rows).for_each(|(key, row)| cache.insert(key, Arc::clone(row)));
        }
    }
}

impl Lookup for HbaseLookup {
    fn get(&mut self, keys: &[&[u8]]) -> Result<Found, LookupError> {
        let known = self.remembered(keys, (self.clock)());
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
