//! `csv = { directory = … }`: a directory of `table.csv` files.

use std::path::Path;
use std::sync::Arc;

use sluice_connectors::csv::CsvConnection;
use sluice_connectors::roles::LookupRole;

use super::{Connection, Connector, LookupForm};
use crate::config::reader::Section;
use crate::config::value;

pub static CONNECTOR: Connector = Connector {
    name: "csv",
    example: r#"{ directory = "data" }"#,
    source: false,
    lookup: Some(LookupForm::TEXTS),
    sink: None,
    letters: None,
    queries: false,
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
