//! Connectors: what can be behind a `[connections.NAME]`, and what pipelines can use it for.
//!
//! Each connector is one file here: the key that makes a connection one of it, the settings, and the roles. [`CONNECTORS`] is the
//! only list. What is read, what messages name, what `sluice check` asks and what a pipeline opens follow from it.
//!
//! ```text
//! sluice.toml ──Connector::read──▶ Connection ──source, lookup, sink, letters──▶ what a pipeline opens and checks
//! ```

mod cache;
mod csv;
mod hbase;
mod kafka;
mod log;
mod mysql;
mod sqlite;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sluice_connectors::lookup::Encoding;
use sluice_connectors::query::QueryRole;
use sluice_connectors::roles::{LettersRole, LookupRole, SinkRole, SourceRole};

use crate::config::reader::Section;

/// Every connector, in the order in which messages name them.
pub static CONNECTORS: &[&Connector] =
    &[&kafka::CONNECTOR, &log::CONNECTOR, &hbase::CONNECTOR, &csv::CONNECTOR, &mysql::CONNECTOR, &sqlite::CONNECTOR];

/// Connections by their names.
pub type ByName = BTreeMap<String, Arc<dyn Connection>>;

/// A connection of the configuration, ready to open things on. Pipelines that name the same one share its pool and its cache. Its
/// `Debug` shows no secret.
pub trait Connection: fmt::Debug + Send + Sync {
    /// The connector that it is one of.
    fn connector(&self) -> &'static Connector;

    /// The connection as a source.
    fn source(&self) -> Option<&dyn SourceRole> {
        None
    }

    /// The connection as a lookup.
    fn lookup(&self) -> Option<&dyn LookupRole> {
        None
    }

    /// The connection as a sink.
    fn sink(&self) -> Option<&dyn SinkRole> {
        None
    }

    /// The connection as a place for dead letters.
    fn letters(&self) -> Option<&dyn LettersRole> {
        None
    }

    /// The connection as a database that boards ask.
    fn queries(&self) -> Option<&dyn QueryRole> {
        None
    }

    /// The file or directory that it is; none for a server.
    fn path(&self) -> Option<&Path> {
        None
    }
}

/// A type of connections, as far as a file that names one needs to know it.
pub struct Connector {
    /// The key that makes a connection one of this type.
    pub name: &'static str,
    /// Settings that can be read, as messages show them.
    pub example: &'static str,
    /// True if records are read from it.
    pub source: bool,
    /// Form of a lookup, if rows are looked up in it.
    pub lookup: Option<LookupForm>,
    /// Place of a sink's rows, if they are written to it.
    pub sink: Option<Place>,
    /// Place of dead letters, if they are kept in it.
    pub letters: Option<Place>,
    /// True if boards ask it.
    pub queries: bool,
    /// Reads the settings, and makes the connection; connects to nothing.
    pub read: fn(&Section<'_>, &Path) -> Option<Arc<dyn Connection>>,
}

/// Place of rows or letters in a server or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A table.
    Table,
    /// A topic.
    Topic,
}

impl Place {
    /// The key of a section that names one, which is also the word for it.
    pub fn key(self) -> &'static str {
        match self {
            Place::Table => "table",
            Place::Topic => "topic",
        }
    }
}

/// Form in which a lookup names what is in a table.
#[derive(Debug, Clone, Copy)]
pub struct LookupForm {
    /// Description of a column's name, for messages.
    pub column: &'static str,
    /// Returns true if a text can be a column's name.
    pub is_column: fn(&str) -> bool,
    /// Encodings in which keys and columns can be bytes.
    pub encodings: &'static [Encoding],
    /// True if the table's key is a column with a name.
    pub names_key: bool,
}

impl LookupForm {
    /// A table of texts. Also over files a column may be `family:qualifier`, so that one pipeline runs on HBase and on them.
    pub const TEXTS: LookupForm = LookupForm {
        column: r#"a column's name in the table such as "cf:module_id""#,
        is_column: |_| true,
        encodings: &[],
        names_key: false,
    };

    /// A table of a database.
    pub const TABLE: LookupForm = LookupForm {
        column: r#"a column's name in the table such as "module_id""#,
        names_key: true,
        ..LookupForm::TEXTS
    };

    /// Whatever a connector might take, of a connection whose type isn't known: it has a problem of its own.
    pub const ANY: LookupForm = LookupForm { encodings: &Encoding::ALL, names_key: true, ..LookupForm::TEXTS };
}

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
    /// Boards ask it.
    Board,
}

impl Connector {
    /// Returns true if a connection of this type can take the role.
    pub fn takes(&self, role: Role) -> bool {
        match role {
            Role::Source => self.source,
            Role::Lookup => self.lookup.is_some(),
            Role::Sink => self.sink.is_some(),
            Role::DeadLetters => self.letters.is_some(),
            Role::Board => self.queries,
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Role {
    /// The connectors that can take the role, as a sentence lists them: `a, b or c`.
    pub fn connectors(self) -> String {
        let names: Vec<&str> = CONNECTORS.iter().filter(|of| of.takes(self)).map(|of| of.name).collect();
        match names.as_slice() {
            [most @ .., last] if !most.is_empty() => format!("{} or {last}", most.join(", ")),
            _ => names.concat(),
        }
    }
}

/// Writes what the connection is in that role, with the connectors that can be it: `a source (kafka or log)`.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Role::Source => "a source",
            Role::Lookup => "a lookup",
            Role::Sink => "a sink",
            Role::DeadLetters => "a place for dead letters",
            Role::Board => "asked by a board",
        };
        write!(f, "{what} ({})", self.connectors())
    }
}
