//! Names of the declared connections, for the pipelines that use them.

use std::collections::BTreeMap;

use super::nearest::suggest;
use super::reader::Item;
use crate::connection::{ByName, Connector, Role};

/// Type of a connection, as far as it is known.
type Type = Option<&'static Connector>;

/// The connections that are declared, with their types as far as those are known. A connection whose settings are wrong is
/// still declared: the pipelines that name it are right.
#[derive(Debug)]
pub struct Declared(Option<BTreeMap<String, Type>>);

impl Declared {
    /// Accepts any name, because sluice.toml can't be read and the connections are unknown.
    pub fn unknown() -> Declared {
        Declared(None)
    }

    /// Declares these connections.
    pub fn known(connections: BTreeMap<String, Type>) -> Declared {
        Declared(Some(connections))
    }

    /// Declares the connections of a configuration that was loaded.
    pub fn of(connections: &ByName) -> Declared {
        let typed = connections.iter().map(|(name, connection)| (name.clone(), Some(connection.connector())));
        Declared::known(typed.collect())
    }

    /// The name of a connection that can take this role, and its type if known.
    pub fn resolve(&self, item: &Item<'_>, role: Role) -> Option<(String, Type)> {
        let name = item.text("a connection's name")?;
        let Some(known) = &self.0 else { return Some((name, None)) };
        match known.get(&name).copied() {
            Some(of) if fits(role, of) => return Some((name, of)),
            Some(Some(of)) => {
                let found = format!("{}, a connection to {}", item.shown(), of.name);
                item.problem(found, want(known, role, ""));
            }
            _ => item.wrong(want(known, role, &name)),
        }
        None
    }
}

/// Returns true if a connection of this type can take the role. An unknown type is accepted here: it has a problem of its own.
fn fits(role: Role, of: Type) -> bool {
    of.is_none_or(|of| of.takes(role))
}

fn want(known: &BTreeMap<String, Type>, role: Role, name: &str) -> String {
    let types = role.connectors();
    let fitting: Vec<&str> = known.iter().filter(|(_, of)| fits(role, **of)).map(|(name, _)| name.as_str()).collect();
    match fitting.is_empty() {
        true => format!("a connection to {types}, of which sluice.toml has none"),
        false => format!("a connection to {types}: {}", suggest(name, &fitting)),
    }
}
