//! `log = { directory = … }`: a directory of `topic/partition.jsonl` files.

use std::path::Path;
use std::sync::Arc;

use sluice_connectors::kafka::Membership;
use sluice_connectors::log::{LogConnection, LogSource, LogWriter};
use sluice_connectors::source::{Source, SourceError, Subscription};
use sluice_connectors::writer::{WriteError, Writer};

use super::{Connection, Connector, SourceRole};
use crate::config::reader::Section;
use crate::config::value;

pub static CONNECTOR: Connector = Connector {
    name: "log",
    example: r#"{ directory = "data" }"#,
    source: true,
    lookup: None,
    sink: None,
    letters: None,
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

impl SourceRole for LogConnection {
    fn open(&self, what: &Subscription, _: Option<&Membership>) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(LogSource::open(self, what)?))
    }

    fn open_writer(&self) -> Result<Box<dyn Writer>, WriteError> {
        Ok(Box::new(LogWriter::open(self)?))
    }
}
