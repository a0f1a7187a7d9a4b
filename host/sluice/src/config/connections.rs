//! Reads `[connections.*]`: the servers and directories that pipelines name.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::declared::Declared;
use super::nearest::one_of;
use super::reader::Section;
use super::value;
use crate::connection::{ByName, CONNECTORS, Connection, Connector};

/// Reads all connections: those that are right, and all that are declared.
pub fn read_all(section: &Section<'_>, root: &Path) -> (ByName, Declared) {
    let mut connections = BTreeMap::new();
    let mut types = BTreeMap::new();
    for (name, item) in section.entries() {
        if !value::is_name(name) {
            item.problem("a connection of this name", value::NAME);
        }
        let (of, connection) = item
            .table("a table such as { sqlite = { path = \"live.db\" } }", |section| Some(read_one(section, root)))
            .unwrap_or_default();
        types.insert(name.to_owned(), of);
        connections.extend(connection.map(|connection| (name.to_owned(), connection)));
    }
    (connections, Declared::known(types))
}

fn read_one(section: &Section<'_>, root: &Path) -> (Option<&'static Connector>, Option<Arc<dyn Connection>>) {
    let found: Vec<_> = CONNECTORS.iter().filter_map(|of| section.optional(of.name).map(|item| (*of, item))).collect();
    match found.as_slice() {
        [(of, item)] => {
            let want = format!("a table such as {}", of.example);
            (Some(*of), item.table(&want, |section| (of.read)(section, root)))
        }
        [] if section.is_empty() => {
            let names: Vec<_> = CONNECTORS.iter().map(|of| of.name).collect();
            section.item().problem("an empty table", one_of(&names));
            (None, None)
        }
        // What is there instead is reported as unknown, with what it was probably meant to be.
        [] => (None, None),
        _ => {
            let both: Vec<_> = found.iter().map(|(of, _)| of.name).collect();
            section.item().problem(both.join(" and "), "one type for one connection");
            (None, None)
        }
    }
}
