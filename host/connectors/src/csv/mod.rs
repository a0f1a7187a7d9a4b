//! Lookups in CSV files: a dimension table for a demo, a test, or a table that people keep by hand.
//!
//! A table is a file `<table>.csv` with the header `rowkey,cf:module_id,…`, in UTF-8. An empty field is null. The same key
//! twice: the later line counts, as a later put does in HBase, so that a change may be appended. The file is held in
//! memory and read again after it changed; while a change can't be read (half-written, damaged), the rows before it
//! stay, and the reason is logged.

mod lookup;
mod table;

use std::path::{Path, PathBuf};

use sluice_core::lookup::{Lookup, LookupError};

pub use self::lookup::CsvLookup;
use self::table::Table;
use crate::lookup::{InstantSource, LookupTable, check_kinds, system_clock};
use crate::roles::LookupRole;

/// A directory of tables, each a file `<table>.csv` with the header `rowkey,<column>,…`.
#[derive(Debug, Clone)]
pub struct CsvConnection {
    /// The directory of the files.
    pub directory: PathBuf,
}

impl LookupRole for CsvConnection {
    /// Reads the table now.
    fn lookup(&self, what: &LookupTable) -> Result<Box<dyn Lookup>, LookupError> {
        Ok(Box::new(self.lookup_with_clock(what, system_clock())?))
    }

    fn check_lookup(&self, what: &LookupTable) -> Result<(), LookupError> {
        check_kinds(what)?;
        Table::read(&self.file(&what.table)?, &what.columns).map(|_| ())
    }
}

impl CsvConnection {
    /// Opens the lookup with another clock for the times at which the file is looked at.
    pub(crate) fn lookup_with_clock(&self, what: &LookupTable, clock: InstantSource) -> Result<CsvLookup, LookupError> {
        check_kinds(what)?;
        CsvLookup::open(self.file(&what.table)?, &what.columns, clock)
    }

    /// The table's file, which is in the directory and nowhere else.
    fn file(&self, table: &str) -> Result<PathBuf, LookupError> {
        if Path::new(table).file_name().is_none_or(|name| name != table) {
            return Err(LookupError::Unusable(format!(
                "`{table}` can't be a table of {}: a table is the name of a file there, without .csv",
                self.directory.display()
            )));
        }
        Ok(self.directory.join(format!("{table}.csv")))
    }
}
