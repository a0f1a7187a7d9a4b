//! Rows that were asked for lately.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::row::Row;

/// The oldest that a remembered row may be unless the configuration says otherwise. Short, since a join is with the table as it
/// is now: a change in the table is seen after at most so long. Long enough that a busy key is asked for now and then, not with
/// every batch.
pub const DEFAULT_TTL: Duration = Duration::from_secs(5);

/// The most rows of a table that are remembered unless the configuration says otherwise: some tens of megabytes of short
/// rows.
pub const DEFAULT_ENTRIES: u32 = 100_000;

/// The most bytes of a table that are remembered unless the configuration says otherwise.
const DEFAULT_BYTES: usize = 32 << 20;

/// Bounds of the cache of a table: the age and the size of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheConfig {
    /// The oldest that an answer may be, present or absent; [`DEFAULT_TTL`] by default. Zero asks the server for every batch.
    pub ttl: Duration,
    /// The most rows kept, of one table and its columns; [`DEFAULT_ENTRIES`] by default.
    pub entries: u32,
    /// The most bytes kept, of one table and its columns.
    pub bytes: usize,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig { ttl: DEFAULT_TTL, entries: DEFAULT_ENTRIES, bytes: DEFAULT_BYTES }
    }
}

/// Rows of one table and some columns of it, by key; absent ones as well.
///
/// Bounded by bytes, and by entries through the weight that an entry has at least. The least used go first; one that is
/// too old is asked for again and replaced.
pub(super) struct RowCache {
    rows: Cache<Box<[u8]>, Arc<Row>, ByBytes, foldhash::fast::RandomState>,
    ttl: Duration,
}

#[derive(Clone)]
struct ByBytes {
    /// Least weight of an entry in bytes: the cache's bytes divided by its entries, so that the bound of bytes is never more than
    /// that many entries.
    least: u64,
}

impl Weighter<Box<[u8]>, Arc<Row>> for ByBytes {
    fn weight(&self, key: &Box<[u8]>, row: &Arc<Row>) -> u64 {
        (row.bytes(key.len()) as u64).max(self.least)
    }
}

impl RowCache {
    pub(super) fn new(config: CacheConfig) -> RowCache {
        let (entries, bytes) = (config.entries.max(1) as usize, config.bytes.max(1) as u64);
        let weighter = ByBytes { least: bytes.div_ceil(entries as u64) };
        let hasher = foldhash::fast::RandomState::default();
        let rows = Cache::with(entries, bytes, weighter, hasher, quick_cache::sync::DefaultLifecycle::default());
        RowCache { rows, ttl: config.ttl }
    }

    /// The moment when a row that came at this time is too old.
    pub(super) fn until(&self, now: Instant) -> Instant {
        now + self.ttl
    }

    /// The row of this key, if it is known as of now.
    pub(super) fn get(&self, key: &[u8], now: Instant) -> Option<Arc<Row>> {
        self.rows.get(key).filter(|row| now < row.until)
    }

    /// Remembers the row.
    pub(super) fn insert(&self, key: &[u8], row: Arc<Row>) {
        self.rows.insert(key.into(), row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::Answer;

    const CONFIG: CacheConfig = CacheConfig { ttl: Duration::from_secs(5), entries: 1000, bytes: 1 << 20 };

    fn absent(until: Instant) -> Arc<Row> {
        Arc::new(Row { until, answer: Answer::Absent })
    }

    fn filled(config: CacheConfig, rows: usize) -> (RowCache, Instant) {
        let (cache, now) = (RowCache::new(config), Instant::now());
        for i in 0..rows {
            cache.insert(&i.to_be_bytes(), absent(cache.until(now)));
        }
        (cache, now)
    }

    #[test]
    fn a_row_is_known_until_its_time_to_live_is_over() {
        let (cache, now) = filled(CONFIG, 1);
        let key = 0usize.to_be_bytes();
        assert!(cache.get(&key, now + CONFIG.ttl - Duration::from_nanos(1)).is_some());
        assert!(cache.get(&key, now + CONFIG.ttl).is_none());
        cache.insert(&key, absent(cache.until(now + CONFIG.ttl)));
        assert!(cache.get(&key, now + CONFIG.ttl).is_some());
    }

    #[test]
    fn no_more_rows_are_kept_than_entries_are_allowed() {
        let (cache, _) = filled(CONFIG, 20_000);
        assert!(cache.rows.len() <= CONFIG.entries as usize, "{}", cache.rows.len());
        assert!(cache.rows.len() > CONFIG.entries as usize / 2, "{}", cache.rows.len());
    }

    #[test]
    fn no_more_bytes_are_kept_than_are_allowed() {
        let (cache, now) = filled(CacheConfig { entries: 1_000_000, ..CONFIG }, 0);
        for i in 0..20_000usize {
            let key = [i.to_be_bytes().as_slice(), &[0; 500]].concat();
            cache.insert(&key, absent(cache.until(now)));
        }
        let kept: usize = cache.rows.iter().map(|(key, row)| row.bytes(key.len())).sum();
        assert!(kept <= CONFIG.bytes, "{kept}");
    }
}
