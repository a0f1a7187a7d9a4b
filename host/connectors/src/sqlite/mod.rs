//! Upserts into an SQLite file, and lookups in its tables.
//!
//! A flush is one transaction, synced to the disk before it answers. The file is in WAL mode, so people may read it
//! meanwhile. Timestamps are texts, `YYYY-MM-DD HH:MM:SS[.ffffff]`, which SQLite's date functions and people read;
//! booleans are 0 and 1.

mod affinity;
mod bind;
mod describe;
mod error;
mod file;
mod identity;
mod inserts;
mod letters;
mod lookup;
mod query;
mod role;
mod sink;
mod transaction;

use std::path::PathBuf;

pub use self::sink::SqliteSink;
use crate::lookup::Caches;

/// An SQLite database file.
#[derive(Debug, Clone)]
pub struct SqliteConnection {
    /// The file; made when a sink is opened and it is missing. Its directory must be there.
    pub path: PathBuf,
    /// The rows that were looked up on this or on a clone of it.
    pub caches: Caches,
}

impl SqliteConnection {
    /// Names the file; opens nothing.
    pub fn new(path: impl Into<PathBuf>) -> SqliteConnection {
        SqliteConnection { path: path.into(), caches: Caches::default() }
    }
}
