//! `log = { directory = … }`: a directory of `topic/partition.jsonl` files.

use std::path::Path;
use std::sync::Arc;

use sluice_connectors::log::LogConnection;
use sluice_connectors::roles::SourceRole;

use super::{Connection, Connector};
use crate::config::reader::Section;
use crate::config::value;

pub static CONNECTOR: Connector = Connector {
    name: "log",
    example: r#"{ directory = "data" }"#,
    source: true,
    lookup: None,
    sink: None,
    letters: None,
    queries: false,
    read,
};

fn read(section: &Section<'_>, root: &Path) -> Option<Arc<dyn Connection>> {
    Some(Arc::new(LogConnection { directory: value::directory(section, root)? }))
}

impl Connection for LogConnection {
    fn connector(&self) -> &'static Connector {
        &CONNECTOR
    }

    fn source(&self) -> Option<&dyn SourceRole> {
        Some(self)
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.directory)
    }
}
