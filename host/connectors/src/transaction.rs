//! Rows and the intervals that made them, in one transaction of the table's database.
//!
//! For tables without a key, whose rows must not be written twice, and for those who want the table itself to say how far it
//! is. The intervals are in the table [`TABLE`], beside the rows:
//!
//! | column             | what it holds                                                                                |
//! |--------------------|----------------------------------------------------------------------------------------------|
//! | `pipeline`         | its name                                                                                     |
//! | `topic`            | the topic that the offsets are of                                                            |
//! | `record_partition` | the partition; -1 for the line of retried dead letters                                       |
//! | `start_offset`     | where the pipeline began to read the partition                                               |
//! | `end_offset`       | the first offset whose rows are not in the table; of the line -1: the transactions with retries |
//! | `host`             | who wrote last                                                                               |
//! | `written_at`       | when, by the database's clock, UTC                                                           |
//! | `retried`          | of the line -1: the dead letters whose records the last of those transactions took in, as JSON |
//!
//! A transaction says how far the rows are *before* it. Where the database says otherwise, nothing is written: so neither a
//! flush that is written again after a lost answer nor a second host puts a record's rows into the table twice.

use async_trait::async_trait;
use sluice_core::dead_letter::DeadLetter;
pub use sluice_core::port::Written;

use crate::sink::{Constraint, FoundTable, Refused, Rows, SinkError, Target};

/// The table that keeps the intervals; made if it is missing.
pub const TABLE: &str = "sluice_checkpoint";

/// Writer and table of a transaction.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// The table. Without a key, rows are inserted and never replaced.
    pub target: Target,
    /// The pipeline.
    pub pipeline: String,
    /// Topic that the pipeline reads.
    pub topic: String,
    /// Table of the pipeline's dead letters, if that is in the same database.
    pub letters: Option<String>,
    /// Name of the host that writes, shown to another host that finds somebody else's rows.
    pub host: String,
}

/// Content of a flush's transaction.
#[derive(Debug, Clone, Copy)]
pub struct Transaction<'a> {
    /// The rows.
    pub rows: &'a Rows,
    /// Dead letters for the table of the [`Ledger`].
    pub letters: &'a [DeadLetter],
    /// Progress of the rows before this transaction.
    pub before: &'a Written,
    /// Progress of the rows with this transaction.
    pub after: &'a Written,
}

/// A table whose database keeps the intervals of its rows.
///
/// **Delivery**: when `commit` answers `Ok`, rows, letters and intervals are durable, together and once. After an error all of
/// it is, or nothing; the same call made again finds out which. **Order**: calls come one after another, each beginning
/// where the one before ended. **Fencing**: where the database's intervals are neither those before nor those after as this host
/// wrote them, nothing is written, and the error is [`SinkError::Unusable`] with both numbers and who wrote.
#[async_trait]
pub trait TransactionSink: Send {
    /// The constraints of the table's columns, in the order of the fields.
    fn constraints(&self) -> &[Constraint];

    /// The table as it was when it was opened. A transaction on another one under its name is [`SinkError::Replaced`].
    fn found(&self) -> &FoundTable;

    /// Expects rows from now on: a transaction on a table that had rows and has none any more is [`SinkError::Replaced`], too.
    fn expect_rows(&mut self);

    /// Checks that the table is still the one that was opened, as far as a write would find; changes nothing.
    async fn verify(&mut self) -> Result<(), SinkError>;

    /// Says whether dead letters go into the same transaction.
    fn takes_letters(&self) -> bool;

    /// Writes all of it in one transaction.
    async fn commit(&mut self, transaction: &Transaction<'_>) -> Result<(), SinkError>;

    /// The rows that the server refuses: see [`Sink::refused`](crate::Sink::refused).
    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError>;
}
