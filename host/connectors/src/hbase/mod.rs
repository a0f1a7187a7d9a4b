//! Lookups in HBase, through its Thrift 1 server.

use std::time::Duration;

use sluice_core::Kind;
use sluice_core::lookup::{Found, Lookup, LookupError};

/// How long and how much of a table is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheConfig {
    /// How old an answer may be, present or absent; zero asks the server for every batch.
    pub ttl: Duration,
    /// The most rows kept, of one table and its columns.
    pub entries: usize,
    /// The most bytes kept, of one table and its columns.
    pub bytes: usize,
}

impl Default for CacheConfig {
    fn default() -> CacheConfig {
        CacheConfig { ttl: Duration::from_secs(5), entries: 100_000, bytes: 32 << 20 }
    }
}

/// Where an HBase Thrift server is, and how it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HbaseOptions {
    /// `host:port` of the Thrift 1 server.
    pub thrift: String,
    /// What is remembered of each table.
    pub cache: CacheConfig,
    /// The most connections that are open at once.
    pub connections: usize,
}

impl HbaseOptions {
    /// This server, with the default cache and pool.
    pub fn new(thrift: impl Into<String>) -> HbaseOptions {
        HbaseOptions { thrift: thrift.into(), cache: CacheConfig::default(), connections: 4 }
    }
}

/// An HBase Thrift server. Clones share the connections and the caches.
#[derive(Debug, Clone)]
pub struct HbaseConnection {
    options: HbaseOptions,
}

impl HbaseConnection {
    /// Names the server; nothing is connected before the first lookup asks.
    pub fn new(options: HbaseOptions) -> Result<HbaseConnection, LookupError> {
        Ok(HbaseConnection { options })
    }

    /// Whether the server answers, and has the table and the columns' families. Blocks.
    pub fn check(&self, table: &str, _columns: &[(String, Kind)]) -> Result<(), LookupError> {
        Err(LookupError::Unusable(format!("{}: `{table}` is not there yet", self.options.thrift)))
    }

    /// The columns (`family:qualifier`, as `Utf8` or `Binary`) of a table. Connects nothing.
    pub fn lookup(&self, _table: &str, _columns: &[(String, Kind)]) -> Result<HbaseLookup, LookupError> {
        Ok(HbaseLookup {})
    }
}

/// Columns of an HBase table, by row key.
pub struct HbaseLookup {}

impl Lookup for HbaseLookup {
    fn get(&mut self, _keys: &[&[u8]]) -> Result<Found, LookupError> {
        Err(LookupError::Unusable("HBase is not there yet".into()))
    }
}
