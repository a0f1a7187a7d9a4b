//! `csv = { directory = … }`: a directory of `table.csv` files.

use std::path::Path;
use std::sync::Arc;

use sluice_connectors::csv::CsvConnection;
use sluice_connectors::lookup::LookupTable;
use sluice_core::lookup::{Lookup, LookupError};

use super::{Connection, Connector, LookupForm, LookupRole};
use crate::config::reader::Section;
use crate::config::value;

pub static CONNECTOR: Connector = Connector {
    name: "csv",
    example: r#"{ directory = "data" }"#,
    source: false,
    lookup: Some(LookupForm::TEXTS),
    sink: None,
    letters: None,
    read,
};

fn read(section: &Section<'_>, root: &Path) -> Option<Arc<dyn Connection>> {
    Some(Arc::new(CsvConnection { directory: value::directory(section, root)? }))
}

impl Connection for CsvConnection {
    fn connector(&self) -> &'static Connector {
        &CONNECTOR
    }

    fn lookup(&self) -> Option<&dyn LookupRole> {
        Some(self)
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.directory)
    }
}

impl LookupRole for CsvConnection {
    fn open(&self, table: &LookupTable) -> Result<Box<dyn Lookup>, LookupError> {
        Ok(Box::new(CsvConnection::lookup(self, table)?))
    }

    fn check(&self, table: &LookupTable) -> Result<(), LookupError> {
        CsvConnection::check(self, table)
    }
}
