//! Sinks are where rows go.

use arrow_array::ArrayRef;
use async_trait::async_trait;

pub use crate::found::FoundTable;

/// A target says which table is written, and what identifies a row of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// The table's name.
    pub table: String,
    /// The result columns that identify a row. Their table columns must be the primary key or a unique index.
    pub key: Vec<String>,
    /// Make the table if it is missing.
    pub create: bool,
    /// Columns may round what is written into them.
    pub round: bool,
    /// The equality that says which keys are one row.
    pub equality: KeyEquality,
}

/// The equality that says which keys are one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyEquality {
    /// Those that are the same value. A table that takes others for the same is refused.
    #[default]
    Exact,
    /// The same; but a table may pass over spaces at the end of a text, since no text of a key that ends in one is written.
    Trimmed,
    /// Those that the table takes for the same: of their rows the last one stays.
    Table,
}

/// What a table's column takes, so that a row that it would refuse can be refused before it holds up all others.
#[derive(Debug, Clone, PartialEq)]
pub struct Constraint {
    /// Whether null is taken.
    pub nullable: bool,
    /// The integers that are taken, both ends included; none where it isn't an integer column.
    pub range: Option<(i64, i64)>,
    /// The floats that are taken, both ends included, and so never NaN; none where it isn't a column of floats.
    pub floats: Option<(f64, f64)>,
    /// The longest text taken, in characters; none where there is no limit.
    pub max_chars: Option<usize>,
    /// The greatest character that a text may have; none where it may have all.
    pub max_char: Option<char>,
    /// Whether a text may end in a space: one that does comes back without it, or is another one's key.
    pub end_space: bool,
    /// The shortest binary taken, in bytes: a shorter one would be filled up. None where there is no limit.
    pub min_bytes: Option<usize>,
    /// The longest text or binary taken, in bytes; none where there is no limit.
    pub max_bytes: Option<usize>,
    /// The wall-clock times that are taken, in microseconds since 1970-01-01T00:00:00, both ends included; none where it
    /// isn't a column of times.
    pub times: Option<(i64, i64)>,
}

impl Constraint {
    /// Takes everything, null as well.
    pub const ANY: Constraint = Constraint {
        nullable: true,
        range: None,
        floats: None,
        max_chars: None,
        max_char: None,
        end_space: true,
        min_bytes: None,
        max_bytes: None,
        times: None,
    };
}

/// Rows to be written: columns in the order of the fields that the sink was opened with, all of the same length.
#[derive(Debug, Clone)]
pub struct Rows {
    /// How many rows.
    pub rows: usize,
    /// A column for each field.
    pub columns: Vec<ArrayRef>,
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

    /// Inserts the rows, replacing those with the same key.
    async fn upsert(&mut self, rows: &Rows) -> Result<(), SinkError>;

    /// The rows that the server refuses, found by trying all of them in a transaction that is rolled back; nothing is
    /// written. Keys may be there several times: each row is tried after those before it.
    ///
    /// # Errors
    /// [`SinkError::Unusable`] if none is taken, and the server's words may as well be about the table.
    async fn refused(&mut self, rows: &Rows) -> Result<Vec<Refused>, SinkError>;
}

/// A row that a server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which of the rows.
    pub row: usize,
    /// The server's words.
    pub reason: String,
}

/// Why rows could not be written. Messages name the server and the table, never a password, and say what to do.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The server is away, restarting or overloaded: retry, nothing is lost.
    #[error("{0}")]
    Unavailable(String),
    /// The table is missing, a column has another type, the credentials are wrong: somebody must change something.
    #[error("{0}")]
    Unusable(String),
    /// The table isn't the one that was opened: it was dropped, made anew or emptied. Nothing was written; open it again, and
    /// write again what it lacks.
    #[error("{0}")]
    Replaced(String),
    /// The server takes rows, and refuses some of these for what they hold: [`Sink::refused`] finds which.
    #[error("{0}")]
    Rows(String),
    /// Several things are wrong with the table at once; each is a sentence that says what to change.
    #[error("{}", .0.join("; "))]
    Mismatch(Vec<String>),
}
