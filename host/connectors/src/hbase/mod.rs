//! Lookups in HBase, through its Thrift 1 server (binary protocol; whether its messages are framed is found out).
//!
//! ```text
//! keys ──▶ RowCache (shared by all lookups of the same table and columns) ──▶ answer
//!             │ those it lacks, at most KEYS_PER_CALL at a time
//!             └──▶ Pool ──▶ getRowsWithColumns, one call for all of them
//! ```
//!
//! A row that has none of the columns counts as absent: HBase doesn't tell the two apart. Absent rows are remembered as
//! long as present ones. A connection that the server closed while it was idle (it does after 60 s) is replaced without
//! an error.

mod cache;
mod call;
mod client;
mod framing;
mod lookup;
mod pool;
mod protocol;
mod row;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sluice_core::Kind;
use sluice_core::lookup::LookupError;

use self::cache::RowCache;
pub use self::lookup::HbaseLookup;
use self::pool::Pool;
use crate::lookup::{InstantSource, LookupColumn, check_kinds, system_clock};

/// The oldest that a remembered row may be unless the configuration says otherwise. Short, since a join is with the table as it
/// is now: a change in HBase is seen after at most so long. Long enough that a busy key is asked for now and then, not with
/// every batch.
pub const DEFAULT_TTL: Duration = Duration::from_secs(5);

/// The most rows of a table that are remembered unless the configuration says otherwise: some tens of megabytes of short
/// rows.
pub const DEFAULT_ENTRIES: u32 = 100_000;

/// The most bytes of a table that are remembered unless the configuration says otherwise.
const DEFAULT_BYTES: usize = 32 << 20;

/// The most connections to a server unless the configuration says otherwise. A lookup uses one while it asks, so this is
/// how many lanes ask at once.
const DEFAULT_CONNECTIONS: usize = 4;

/// Bounds of the cache of a table: the age and the size of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheConfig {
    /// The oldest that an answer may be, present or absent; [`DEFAULT_TTL`] by default. Zero asks the server for every batch.
    pub ttl: Duration,
    /// The most rows kept, of one table and its columns; [`DEFAULT_ENTRIES`] by default.
    pub entries: usize,
    /// The most bytes kept, of one table and its columns.
    pub bytes: usize,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig { ttl: DEFAULT_TTL, entries: DEFAULT_ENTRIES as usize, bytes: DEFAULT_BYTES }
    }
}

/// Options say where an HBase Thrift server is, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HbaseOptions {
    /// `host:port` of the Thrift 1 server.
    pub thrift: String,
    /// Bounds of each table's cache.
    pub cache: CacheConfig,
    /// The most connections that are open at once; one is what less than one becomes.
    pub connections: usize,
}

impl HbaseOptions {
    /// Makes options for this server, with the default cache and pool.
    pub fn new(thrift: impl Into<String>) -> HbaseOptions {
        HbaseOptions { thrift: thrift.into(), cache: CacheConfig::default(), connections: DEFAULT_CONNECTIONS }
    }
}

/// The caches by table and columns; gone when their last lookup is.
type Caches = HashMap<(String, Vec<LookupColumn>), Weak<RowCache>>;

/// An HBase Thrift server. Clones share the connections and the caches.
#[derive(Clone)]
pub struct HbaseConnection {
    config: CacheConfig,
    pool: Arc<Pool>,
    caches: Arc<Mutex<Caches>>,
    clock: InstantSource,
}

impl fmt::Debug for HbaseConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HbaseConnection").field("thrift", &self.pool.address()).finish_non_exhaustive()
    }
}

impl HbaseConnection {
    /// Names the server; nothing is connected before the first lookup asks. Refuses an address that isn't `host:port`.
    pub fn new(options: HbaseOptions) -> Result<HbaseConnection, LookupError> {
        HbaseConnection::with_clock(options, system_clock())
    }

    /// Makes the connection with another clock for the age of cached rows.
    pub(crate) fn with_clock(options: HbaseOptions, clock: InstantSource) -> Result<HbaseConnection, LookupError> {
        let port = options.thrift.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        if !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0)) {
            return Err(LookupError::Unusable(format!(
                "the hbase address `{}` is not host:port: write it as in 127.0.0.1:9090",
                options.thrift
            )));
        }
        let pool = Arc::new(Pool::new(options.thrift, options.connections.max(1)));
        Ok(HbaseConnection { config: options.cache, pool, caches: Arc::default(), clock })
    }

    /// Checks that the server answers, and has the table and the columns' families. Blocks until it answers.
    pub fn check(&self, table: &str, columns: &[(String, Kind)]) -> Result<(), LookupError> {
        check_columns(table, columns)?;
        call::check(&self.pool, table, columns)
    }

    /// The columns (`family:qualifier`, as `Utf8` or `Binary`) of a table. Connects nothing.
    pub fn lookup(&self, table: &str, columns: &[(String, Kind)]) -> Result<HbaseLookup, LookupError> {
        check_columns(table, columns)?;
        let cache = (!self.config.ttl.is_zero()).then(|| self.cache(table, columns));
        Ok(HbaseLookup::new(Arc::clone(&self.pool), cache, Arc::clone(&self.clock), table, columns))
    }

    fn cache(&self, table: &str, columns: &[LookupColumn]) -> Arc<RowCache> {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.retain(|_, cache| cache.strong_count() > 0);
        let known = caches.entry((table.into(), columns.to_vec())).or_default();
        known.upgrade().unwrap_or_else(|| {
            let cache = Arc::new(RowCache::new(self.config));
            *known = Arc::downgrade(&cache);
            cache
        })
    }
}

fn check_columns(table: &str, columns: &[LookupColumn]) -> Result<(), LookupError> {
    if !is_table_name(table) {
        return Err(LookupError::Unusable(format!(
            "`{table}` is no name of an HBase table: write letters, digits, `_`, `-` and `.`, with a namespace and `:` before \
             them if it has one"
        )));
    }
    check_kinds(table, columns)?;
    let unqualified: Vec<_> = columns.iter().map(|(name, _)| name).filter(|name| family(name).is_none()).collect();
    match unqualified.first() {
        Some(name) => Err(LookupError::Unusable(format!(
            "the column `{name}` of HBase's `{table}` has no family: write it as in cf:{name}"
        ))),
        None => Ok(()),
    }
}

/// Says whether HBase has tables of this name; asked for any other, its Thrift server says "Internal error" (`TableName`).
fn is_table_name(name: &str) -> bool {
    let (namespace, table) = name.split_once(':').unwrap_or(("default", name));
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let namespace_fits = !namespace.is_empty() && namespace.chars().all(is_word);
    namespace_fits
        && !table.is_empty()
        && !table.starts_with(['.', '-'])
        && table.chars().all(|c| is_word(c) || c == '-' || c == '.')
}

/// The family of a column's qualified name.
fn family(column: &str) -> Option<&str> {
    column.split_once(':').map(|(family, _)| family).filter(|family| !family.is_empty())
}
