//! Lookups in CSV files.

use std::path::PathBuf;

use sluice_core::Kind;
use sluice_core::lookup::{Found, Lookup, LookupError};

/// A directory of tables, each a file `<table>.csv` with the header `rowkey,<column>,…`.
#[derive(Debug, Clone)]
pub struct CsvConnection {
    /// Where the files are.
    pub directory: PathBuf,
}

impl CsvConnection {
    /// Whether the table can be read and has the columns.
    pub fn check(&self, _table: &str, _columns: &[(String, Kind)]) -> Result<(), LookupError> {
        Err(LookupError::Unusable("CSV is not there yet".into()))
    }

    /// The columns (as `Utf8` or `Binary`) of a table.
    pub fn lookup(&self, _table: &str, _columns: &[(String, Kind)]) -> Result<CsvLookup, LookupError> {
        Ok(CsvLookup {})
    }
}

/// Columns of a CSV table, by row key.
pub struct CsvLookup {}

impl Lookup for CsvLookup {
    fn get(&mut self, _keys: &[&[u8]]) -> Result<Found, LookupError> {
        Err(LookupError::Unusable("CSV is not there yet".into()))
    }
}
