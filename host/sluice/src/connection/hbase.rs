//! `hbase = { thrift = … }`: HBase's Thrift server.

use std::path::Path;
use std::sync::Arc;

use sluice_connectors::hbase::{HbaseConnection, HbaseOptions};
use sluice_connectors::lookup::Encoding;
use sluice_connectors::roles::LookupRole;

use super::{Connection, Connector, LookupForm, cache};
use crate::config::reader::Section;
use crate::config::value;

/// Description of an address, for messages.
const ADDRESS: &str = r#"host:port of HBase's Thrift server such as "127.0.0.1:9090""#;

pub static CONNECTOR: Connector = Connector {
    name: "hbase",
    example: r#"{ thrift = "127.0.0.1:9090" }"#,
    source: false,
    lookup: Some(LookupForm {
        column: r#"family:qualifier such as "cf:module_id""#,
        is_column: is_qualified,
        encodings: &Encoding::ALL,
        ..LookupForm::TEXTS
    }),
    sink: None,
    letters: None,
    queries: false,
    read,
};

fn is_qualified(text: &str) -> bool {
    text.split_once(':').is_some_and(|(family, _)| !family.is_empty())
}

fn read(section: &Section<'_>, _: &Path) -> Option<Arc<dyn Connection>> {
    let thrift = section.required("thrift", ADDRESS, |item| {
        item.parse(ADDRESS, |text| value::is_address(text).then(|| text.to_owned()))
    });
    let cache = cache::read(section);
    let options = HbaseOptions { cache: cache?, ..HbaseOptions::new(thrift?) };
    let connection = HbaseConnection::new(options);
    let connection = connection.map_err(|error| section.item().problem(error.to_string(), ADDRESS)).ok()?;
    Some(Arc::new(connection))
}

impl Connection for HbaseConnection {
    fn connector(&self) -> &'static Connector {
        &CONNECTOR
    }

    fn lookup(&self) -> Option<&dyn LookupRole> {
        Some(self)
    }
}
