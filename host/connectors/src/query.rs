//! Queries of boards: one statement that only reads, and its rows, within limits.
//!
//! ```text
//! SQL ──QueryRole::read_statement──▶ names and parameters, or why it isn't one statement that only reads   (asks no server)
//! Query ──Reader::read──▶ QueryRows, or QueryError
//!           │  session read-only, transaction read-only, the server's own time limit, rows taken one by one
//! ```
//!
//! Three guards, each of which is enough by itself against a slip: the statement's words, a session and transaction that may not
//! write, and, where people give the board an account of its own, that account's rights. Functions of the database's administrator
//! (MySQL's loadable ones) are beyond the first two.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

/// A statement with its parameters' values, and what its answer may take.
#[derive(Debug, Clone)]
pub struct Query {
    /// The statement. `:name` is a parameter.
    pub sql: String,
    /// The values of the parameters, which the statement gets as texts.
    pub parameters: BTreeMap<String, String>,
    /// What the answer may take.
    pub limits: QueryLimits,
}

/// Limits of one query.
#[derive(Debug, Clone, Copy)]
pub struct QueryLimits {
    /// The longest that the server may take, which ends the query itself. Shorter: honest sums over large tables never end. Longer:
    /// one bad panel keeps a server busy.
    pub time: Duration,
    /// The most rows. More are left out. Fewer: a line by the minute of a day isn't whole. More: no chart shows them.
    pub rows: usize,
    /// The longest text of a cell, in bytes; a longer one is cut. Shorter: long names are cut. Longer: a few cells are a whole answer.
    pub cell: usize,
    /// The most bytes of all cells. Further rows are left out. Less: a line of many series isn't whole. More: each viewer is sent
    /// that much at each refresh, and each panel keeps it in memory.
    pub bytes: usize,
}

impl Default for QueryLimits {
    fn default() -> QueryLimits {
        QueryLimits { time: Duration::from_secs(5), rows: 1_000, cell: 4 << 10, bytes: 256 << 10 }
    }
}

/// Names that a statement uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatementNames {
    /// The parameters, without the colon, each as often as it occurs.
    pub parameters: Vec<String>,
    /// Every word and quoted name, in small letters: those of its tables are among them.
    pub words: BTreeSet<String>,
}

/// Rows that a query answers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueryRows {
    /// The columns, in their order.
    pub columns: Vec<QueryColumn>,
    /// The rows; each has a cell for each column.
    pub rows: Vec<Vec<Value>>,
    /// True if rows were left out.
    pub truncated: bool,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryColumn {
    /// The name.
    pub name: String,
    /// The type of its cells.
    pub of: ColumnType,
}

/// Type of a column's cells, but for nulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Texts, or cells of several types.
    Text,
    /// Numbers.
    Number,
    /// Times of a clock on the wall, `YYYY-MM-DDTHH:MM:SS[.ffffff]`.
    Time,
    /// Days, `YYYY-MM-DD`.
    Date,
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing; also a number that isn't finite.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number that is finite.
    Float(f64),
    /// A number as its digits: a decimal, or a whole number beyond `i64`.
    Digits(String),
    /// Text, a time or a day.
    Text(String),
}

/// Reason why a query has no answer: a sentence for whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It isn't one statement that only reads. Nothing was sent to the server.
    #[error("{0}")]
    Refused(String),
    /// The server is away.
    #[error("{0}")]
    Unavailable(String),
    /// The server doesn't take the statement, or may not be asked.
    #[error("{0}")]
    Failed(String),
    /// It was ended since its time was up.
    #[error(
        "the query took longer than {0:?} and was ended: let it read less, or from a table that a pipeline sums up"
    )]
    Late(Duration),
}

/// A connection that boards ask.
pub trait QueryRole {
    /// Reads a statement's names. Asks no server.
    ///
    /// # Errors
    /// It isn't one statement that only reads.
    fn read_statement(&self, sql: &str) -> Result<StatementNames, QueryError>;

    /// Opens the connection for queries, with connections to the server of its own, at most a few; connects to nothing yet.
    fn open_reader(&self) -> Result<Box<dyn Reader>, QueryError>;
}

/// What asks a database.
#[async_trait]
pub trait Reader: Send + Sync {
    /// Runs the query and answers its rows. Returns soon after its time is up, whatever the server does. May be called by several
    /// at once, and dropped, which ends the query.
    async fn read(&self, query: &Query) -> Result<QueryRows, QueryError>;
}
