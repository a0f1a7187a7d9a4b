//! Flush that a lane hands over to a flusher, and the errors that end flushing.

use super::made::Made;
use super::swap::SwapId;
use crate::checkpoint::{Changes, Checkpoint, StoreError};
use crate::dead_letter::DeadLetter;
use crate::deploy::Operators;

/// A flush, and the swap that follows it, if one does.
pub struct Handover {
    /// Rows, and the checkpoint that is true once they are written.
    pub flush: Box<Flush>,
    /// The swap whose sinks are used from here on, if this is the last flush of a chain.
    pub cut_over: Option<SwapId>,
}

/// All that changed up to one batch boundary.
#[derive(Default)]
pub struct Flush {
    /// The rows, and what made them.
    pub batches: Vec<Made>,
    /// The letters of records that were left out.
    pub letters: Vec<DeadLetter>,
    /// The checkpoint without the states.
    pub head: Checkpoint,
    /// The states that changed.
    pub changes: Changes,
    /// The retries that are done once the letters of their records are removed.
    pub retries: Vec<u64>,
    /// True if a checkpoint follows. During a trial only rows are written; of the head just generation and operators count.
    pub durable: bool,
    /// The operators of which this is the first checkpoint.
    pub passed: Option<Operators>,
}

impl Flush {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(|made| made.rows.rows).sum()
    }
}

/// The reason why flushing ended before the lane did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// The table, or what it was given, is at fault.
    #[error("{sink}: {reason}")]
    Unusable {
        /// The sink.
        sink: String,
        /// The reason.
        reason: String,
    },
    /// The server was away for longer than the end of a run waits.
    #[error("{sink}: {reason}; {rows} rows were not written and will be read again at the next start")]
    GaveUp {
        /// The sink.
        sink: String,
        /// The last words of the server.
        reason: String,
        /// The number of rows that wait.
        rows: usize,
    },
    /// With `on_error = "stop"`, the server refuses a row.
    #[error("{what}: {reason}")]
    Refused {
        /// The record or the group.
        what: String,
        /// The server's words.
        reason: String,
    },
    /// Other hosts may have the partitions.
    #[error("{0}")]
    Lost(String),
    /// The table isn't the one that was opened.
    #[error("{sink}: {reason}")]
    Replaced {
        /// The sink.
        sink: String,
        /// The identities of both tables.
        reason: String,
    },
    /// At the end of a run, the source's server doesn't say whether rows may be written.
    #[error("{0}; what was not written is read again at the next start")]
    Unasked(String),
    /// The checkpoint can't be made.
    #[error("the checkpoint was not made: {0}")]
    Store(#[from] StoreError),
    /// The writer of the checkpoint panicked.
    #[error("{0}")]
    Died(String),
}
