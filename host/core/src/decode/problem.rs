//! Records that can't be decoded, and why.

use super::MAX_ROWS_OF_A_RECORD;
use crate::interval::{Offset, Partition};
use crate::records::Records;
use crate::rejected::{RejectedRow, Stage};

/// A record that stops the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{topic}, partition {partition}, offset {offset}: {problem}")]
pub struct BadRecord {
    /// Topic of the record.
    pub topic: String,
    /// Partition of the record.
    pub partition: Partition,
    /// Offset of the record.
    pub offset: Offset,
    /// Problem of the record.
    pub problem: Problem,
}

impl BadRecord {
    /// A record that stops the pipeline for this problem.
    pub(super) fn new(records: &dyn Records, record: usize, problem: Problem) -> BadRecord {
        let (partition, offset) = records.position(record);
        BadRecord { topic: records.topic().to_owned(), partition, offset, problem }
    }

    /// A record that stops the pipeline after it was decoded.
    pub fn rejected(records: &dyn Records, row: RejectedRow) -> BadRecord {
        BadRecord::new(records, row.record, Problem::Rejected { stage: row.stage, reason: row.reason })
    }
}

/// Problem of a record that can't be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The record has no value to decode.
    #[error("the record has no value (a tombstone)")]
    NoValue,
    /// The record isn't what its format wants, in the format's words.
    #[error("{message}")]
    Unreadable {
        /// Problem without what differs from record to record.
        kind: String,
        /// Problem of this record.
        message: String,
    },
    /// The record has more rows than allowed.
    #[error("the record has more than {MAX_ROWS_OF_A_RECORD} rows")]
    TooManyRows,
    /// A declared field isn't there and `fail_on_missing_field` is set.
    #[error("field `{0}` is missing")]
    MissingField(String),
    /// A row of the record was refused after decoding.
    #[error("{stage}: {reason}")]
    Rejected {
        /// Stage at which the row was refused.
        stage: Stage,
        /// Reason why the row was refused.
        reason: String,
    },
    /// A field's value can't become its column's kind.
    #[error("field `{field}`: {reason}")]
    Value {
        /// The field's name in the record.
        field: String,
        /// Reason of the refusal.
        reason: String,
    },
}

impl Problem {
    /// Returns the problem in words that don't differ from record to record.
    pub(super) fn kind(&self) -> String {
        match self {
            Problem::Unreadable { kind, .. } => kind.clone(),
            other => other.to_string(),
        }
    }
}
