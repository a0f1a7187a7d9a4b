//! The caches of a connection.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::cache::{CacheConfig, RowCache};
use super::cached::{Asked, CachedLookup};
use super::table::LookupTable;
use super::{InstantSource, system_clock};

/// Caches of a connection's tables, by what is asked of them; each is gone when its last lookup is. Clones share them.
#[derive(Clone)]
pub struct Caches {
    config: CacheConfig,
    clock: InstantSource,
    by_table: Arc<Mutex<HashMap<LookupTable, Weak<RowCache>>>>,
}

impl Caches {
    /// Makes caches with these bounds for each table.
    pub fn new(config: CacheConfig) -> Caches {
        Caches::with_clock(config, system_clock())
    }

    /// Makes caches with another clock for the age of rows.
    pub(crate) fn with_clock(config: CacheConfig, clock: InstantSource) -> Caches {
        Caches { config, clock, by_table: Arc::default() }
    }

    /// The lookup of this table, which is asked for what isn't remembered.
    pub(crate) fn lookup<T: Asked>(&self, what: &LookupTable, table: T) -> CachedLookup<T> {
        let cache = (!self.config.ttl.is_zero()).then(|| self.cache(what));
        CachedLookup::new(table, what.kinds(), cache, Arc::clone(&self.clock))
    }

    fn cache(&self, what: &LookupTable) -> Arc<RowCache> {
        let mut caches = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        caches.retain(|_, cache| cache.strong_count() > 0);
        let known = caches.entry(what.clone()).or_default();
        known.upgrade().unwrap_or_else(|| {
            let cache = Arc::new(RowCache::new(self.config));
            *known = Arc::downgrade(&cache);
            cache
        })
    }
}

impl Default for Caches {
    fn default() -> Caches {
        Caches::new(CacheConfig::default())
    }
}

impl fmt::Debug for Caches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}
