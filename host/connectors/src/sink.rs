//! Sinks are where rows go.

use async_trait::async_trait;
pub use sluice_core::constraint::Constraint;
use sluice_core::deploy::Provenance;
pub use sluice_core::port::{Refused, SinkError};
pub use sluice_core::rows::Rows;

pub use crate::found::FoundTable;

/// Target of a sink: the table, and the columns that identify a row of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The table's name.
    pub table: String,
    /// The result columns that identify a row. Their table columns must be the primary key or a unique index.
    pub key: Vec<String>,
    /// Make the table if it is missing.
    pub create: bool,
    /// True if columns may round the values that are written to them.
    pub round: bool,
    /// Equality of keys: it says which keys are one row.
    pub equality: KeyEquality,
}

/// Equality of keys: it says which keys are one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyEquality {
    /// Keys are the same if their values are. A table that compares otherwise is refused.
    #[default]
    Exact,
    /// Keys are the same if their values are. A table may still ignore spaces at the end of a text, since no key with a text that
    /// ends in one is written.
    Trimmed,
    /// Keys are the same if the table considers them equal: of their rows the last one stays.
    Table,
}

/// A table that takes upserts.
///
/// **Delivery**: when `upsert` answers `Ok`, every row is durable in the table. After an error some rows may be; writing
/// all of them again gives the same table, since values are absolute and keyed. **Order**: keys are distinct within a
/// call, calls come one after another.
#[async_trait]
pub trait Sink: Send {
    /// The constraints of the table's columns, in the order of the fields.
    fn constraints(&self) -> &[Constraint];

    /// The table as it was when it was opened. A write to another one under its name is [`SinkError::Replaced`].
    fn found(&self) -> &FoundTable;

    /// Expects rows from now on: a write to a table that had rows and has none any more is [`SinkError::Replaced`], too,
    /// since whoever writes can write them all again.
    fn expect_rows(&mut self);

    /// Checks that the table is still the one that was opened, as far as a write would find; changes nothing.
    async fn verify(&mut self) -> Result<(), SinkError>;

    /// Attributes the rows of the following upserts to what made them. Ignored by a sink that keeps no such note.
    fn attribute(&mut self, _: &Provenance) {}

    /// Inserts the rows, replacing those with the same key.
    async fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError>;

    /// Marks the rows under these keys as those of groups that have ended. `keys` holds the key's columns, in the order of the
    /// target's key. Asked only of a sink whose connector can.
    async fn end(&mut self, _keys: &Rows) -> Result<(), SinkError> {
        Err(SinkError::Unusable("it marks no rows as ended; this is a defect".to_owned()))
    }

    /// The rows that the server refuses, found by trying all of them in a transaction that is rolled back; nothing is
    /// written. Keys may be there several times: each row is tried after those before it.
    ///
    /// # Errors
    /// [`SinkError::Unusable`] if none is taken, and the server's words may as well be about the table.
    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError>;
}
