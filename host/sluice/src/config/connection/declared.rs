//! Names of the declared connections, for the pipelines that use them.

use std::collections::BTreeMap;

use super::{Connection, ConnectionType};
use crate::config::nearest::suggest;
use crate::config::reader::Item;

/// Role of a connection in a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Records are read from it.
    Source,
    /// Rows are looked up in it.
    Lookup,
    /// Rows are written to it.
    Sink,
    /// Dead letters are kept in it.
    DeadLetters,
}

impl Role {
    fn types(self) -> &'static [ConnectionType] {
        match self {
            Role::Source => &[ConnectionType::Kafka, ConnectionType::Log],
            Role::Lookup => &[ConnectionType::Hbase, ConnectionType::Csv],
            Role::Sink => &[ConnectionType::Mysql, ConnectionType::Sqlite],
            Role::DeadLetters => &[ConnectionType::Mysql, ConnectionType::Sqlite, ConnectionType::Kafka],
        }
    }

    /// Returns true if a connection of this type can take the role. An unknown type is accepted here: it has a problem of its
    /// own.
    fn takes(self, of: Option<ConnectionType>) -> bool {
        of.is_none_or(|of| self.types().contains(&of))
    }
}

/// The connections that are declared, with their types as far as those are known. A connection whose settings are wrong is
/// still declared: the pipelines that name it are right.
#[derive(Debug)]
pub struct Declared(Option<BTreeMap<String, Option<ConnectionType>>>);

impl Declared {
    /// Accepts any name, because sluice.toml can't be read and the connections are unknown.
    pub fn unknown() -> Declared {
        Declared(None)
    }

    /// Declares these connections.
    pub fn known(connections: BTreeMap<String, Option<ConnectionType>>) -> Declared {
        Declared(Some(connections))
    }

    /// Declares the connections of a configuration that was loaded.
    pub fn of(connections: &BTreeMap<String, Connection>) -> Declared {
        let typed = |(name, connection): (&String, &Connection)| (name.clone(), Some(connection.connection_type()));
        Declared::known(connections.iter().map(typed).collect())
    }

    /// The name of a connection that can take this role, and its type if known.
    pub fn resolve(&self, item: &Item<'_>, role: Role) -> Option<(String, Option<ConnectionType>)> {
        let name = item.text("a connection's name")?;
        let Some(known) = &self.0 else { return Some((name, None)) };
        match known.get(&name).copied() {
            Some(of) if role.takes(of) => return Some((name, of)),
            Some(Some(of)) => {
                let found = format!("{}, a connection to {}", item.shown(), of.name());
                item.problem(found, want(known, role, ""));
            }
            _ => item.wrong(want(known, role, &name)),
        }
        None
    }
}

fn want(known: &BTreeMap<String, Option<ConnectionType>>, role: Role, name: &str) -> String {
    let names: Vec<&str> = role.types().iter().map(|of| of.name()).collect();
    let types = names.split_last().map(|(last, most)| format!("{} or {last}", most.join(", "))).unwrap_or_default();
    let fitting: Vec<&str> = known.iter().filter(|(_, of)| role.takes(**of)).map(|(name, _)| name.as_str()).collect();
    match fitting.is_empty() {
        true => format!("a connection to {types}, of which sluice.toml has none"),
        false => format!("a connection to {types}: {}", suggest(name, &fitting)),
    }
}
