//! Lookups in HBase, through its Thrift 1 server (binary protocol; whether its messages are framed is found out).
//!
//! ```text
//! keys ──▶ what is remembered ([`crate::lookup`])
//!             │ what isn't, at most KEYS_PER_CALL at a time
//!             └──▶ Pool ──▶ getRowsWithColumns, one call for all of them
//! ```
//!
//! A row that has none of the columns counts as absent: HBase doesn't tell the two apart. Absent rows are remembered as
//! long as present ones. A connection that the server closed while it was idle (it does after 60 s) is replaced without
//! an error.

mod call;
mod client;
mod framing;
mod lookup;
mod pool;
mod protocol;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use sluice_core::lookup::{Lookup, LookupError};

use self::lookup::HbaseTable;
use self::pool::Pool;
use crate::lookup::{CacheConfig, Caches, InstantSource, LookupTable, check_kinds, system_clock};
use crate::roles::LookupRole;

/// The most connections to a server unless the configuration says otherwise. A lookup uses one while it asks, so this is
/// how many lanes ask at once.
const DEFAULT_CONNECTIONS: usize = 4;

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

/// An HBase Thrift server. Clones share the connections and the caches.
#[derive(Clone)]
pub struct HbaseConnection {
    pool: Arc<Pool>,
    caches: Caches,
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
        Ok(HbaseConnection { pool, caches: Caches::with_clock(options.cache, clock) })
    }
}

impl LookupRole for HbaseConnection {
    /// Opens a lookup of columns (`family:qualifier`) as what their texts or their encodings say.
    fn lookup(&self, what: &LookupTable) -> Result<Box<dyn Lookup>, LookupError> {
        check_names(what)?;
        Ok(Box::new(self.caches.lookup(what, HbaseTable::new(Arc::clone(&self.pool), what))))
    }

    fn check_lookup(&self, what: &LookupTable) -> Result<(), LookupError> {
        check_names(what)?;
        call::check(&self.pool, what)
    }
}

fn check_names(what: &LookupTable) -> Result<(), LookupError> {
    let table = &what.table;
    if !is_table_name(table) {
        return Err(LookupError::Unusable(format!(
            "`{table}` is no name of an HBase table: write letters, digits, `_`, `-` and `.`, with a namespace and `:` before \
             them if it has one"
        )));
    }
    check_kinds(what)?;
    let unqualified = what.columns.iter().map(|column| &column.name).find(|name| family(name).is_none());
    match unqualified {
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
