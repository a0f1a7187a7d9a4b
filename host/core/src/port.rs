//! Errors of the servers around a pipeline: its source, its tables, its places for letters.
//!
//! Each error says what is to be done about it: try again, look for the rows at fault, open again, or ask somebody. A run decides by
//! these alone ([`crate::run`]).

use crate::dead_letter::LetterId;
use crate::identity::Identity;
use crate::interval::Intervals;

/// A row that a table or its server refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The place among the rows.
    pub row: usize,
    /// The reason, in the server's words where the server refuses it.
    pub reason: String,
}

/// The reason why rows could not be written. Messages name the server and the table, never a password, and say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The server is away, restarting or overloaded: retry, nothing is lost.
    #[error("{0}")]
    Unavailable(String),
    /// The table is missing, a column has another type, the credentials are wrong: somebody must change something.
    #[error("{0}")]
    Unusable(String),
    /// The table isn't the one that was opened: it was dropped, made anew or emptied. Nothing was written. Open it again, and
    /// write the rows that it lacks.
    #[error("{0}")]
    Replaced(String),
    /// The server accepts rows, but refuses some of these for their content: a search finds which.
    #[error("{0}")]
    Rows(String),
    /// Several things are wrong with the table at once; each is a sentence that says what to change.
    #[error("{}", .0.join("; "))]
    Mismatch(Vec<String>),
}

/// The reason why there are no records. Messages name the server and the topic, and say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The server is away or overloaded: retry, nothing is lost.
    #[error("{0}")]
    Unavailable(String),
    /// The topic isn't there, the credentials are wrong, the start is gone: somebody must change something.
    #[error("{0}")]
    Unusable(String),
    /// The topic has the known name, but isn't the one that was read before.
    #[error("the topic `{topic}` is another one than was read so far: that was {was}, and this is {is}")]
    Another {
        /// The name of the topic.
        topic: String,
        /// Identity of the topic that was read: only the parts that tell the two apart.
        was: Identity,
        /// Identity of the topic that is there now.
        is: Identity,
    },
    /// Other hosts have the partitions that are needed: wait until they have left. Occurs only when a source is opened.
    #[error("{0}")]
    Held(String),
}

/// The reason why nothing may be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Another host may have the partitions: drop the rows that aren't written; their records will be read again.
    #[error("{0}")]
    Lost(String),
    /// The server doesn't say: keep everything, and ask again.
    #[error("{0}")]
    Unknown(String),
}

/// The progress of the rows of a pipeline that writes rows and intervals in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The records whose rows are in the table.
    pub intervals: Intervals,
    /// The number of transactions that took in records of dead letters.
    pub retries: i64,
    /// Letters of the last transaction with retries, if no other transaction came after it.
    pub retried: Vec<LetterId>,
}
