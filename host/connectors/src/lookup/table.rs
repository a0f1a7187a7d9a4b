//! The question of a lookup: a table, its key and its columns.

use sluice_core::Kind;
use sluice_core::lookup::LookupError;

use super::encoding::Encoding;

/// Table that a lookup asks, and what it asks of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LookupTable {
    /// The table's name.
    pub table: String,
    /// The key of the table's rows.
    pub key: LookupKey,
    /// The columns, in the order of the answer.
    pub columns: Vec<LookupColumn>,
}

/// Key of a table's rows. Lookups are asked with texts: integers are decimal ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct LookupKey {
    /// The key's column, in a table where it has a name; empty in others.
    pub column: String,
    /// Bytes of the keys, if they aren't the texts themselves.
    pub encoding: Option<Encoding>,
}

/// A column that a lookup answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LookupColumn {
    /// The column's name in the table; for HBase `family:qualifier`.
    pub name: String,
    /// Kind of the answered values.
    pub kind: Kind,
    /// Bytes of the table's values, if they are numbers in bytes.
    pub encoding: Option<Encoding>,
}

impl LookupTable {
    /// Asks for these columns of a table whose key has this name.
    pub fn new<'a>(table: &str, key: &str, columns: impl IntoIterator<Item = (&'a str, Kind)>) -> LookupTable {
        let column = |(name, kind): (&str, Kind)| LookupColumn { name: name.to_owned(), kind, encoding: None };
        let key = LookupKey { column: key.to_owned(), encoding: None };
        LookupTable { table: table.to_owned(), key, columns: columns.into_iter().map(column).collect() }
    }

    /// The kinds of the answered columns.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.columns.iter().map(|column| column.kind).collect()
    }
}

/// Refuses columns whose encoding gives another kind than they are to have.
pub(crate) fn check_kinds(table: &LookupTable) -> Result<(), LookupError> {
    let fits = |column: &&LookupColumn| column.encoding.is_none_or(|encoding| encoding.kind() == column.kind);
    let wrong: Vec<_> = table
        .columns
        .iter()
        .filter(|column| !fits(column))
        .map(|LookupColumn { name, kind, .. }| {
            format!("column `{name}` of `{}` can't be {kind}: its encoding is of another kind", table.table)
        })
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(LookupError::Unusable(wrong.join("; "))) }
}
