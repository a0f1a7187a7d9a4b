//! Letterboxes are where dead letters are kept, and looked for.

pub mod file;
pub(crate) mod indexed;
mod line;

use std::collections::BTreeMap;

use async_trait::async_trait;
use sluice_core::dead_letter::{DeadLetter, LetterId};
use sluice_core::{Offset, Partition};

pub(crate) use self::line::{moment, moment_text};
use crate::sink::{Refused, SinkError};

/// The most letters that a search answers: a page, which is held in memory.
pub const MAX_FOUND: usize = 1_000;

/// The most bytes of a record's key and value that a search shows. A letter that is read has all of it.
pub const PREVIEW_BYTES: usize = 256;

/// A filter says which letters are meant: those that fit everything that is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The pipeline.
    pub pipeline: Option<String>,
    /// A part of the reason.
    pub reason: Option<String>,
    /// Earliest time at which the record was left out, in microseconds since 1970-01-01T00:00:00 UTC.
    pub since: Option<i64>,
    /// Time before which the record was left out.
    pub until: Option<i64>,
    /// The record's topic.
    pub topic: Option<String>,
    /// The record's partition.
    pub partition: Option<Partition>,
    /// The record's offset.
    pub offset: Option<Offset>,
    /// Says whether a retry was asked for; none for either.
    pub retry: Option<bool>,
}

/// Letter with its pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The pipeline that left the record out.
    pub pipeline: String,
    /// The letter.
    pub letter: DeadLetter,
}

impl Letter {
    /// Says whether a letter that a search showed has all of its key and value.
    pub fn is_whole(&self) -> bool {
        let parts = [&self.letter.key, &self.letter.value];
        parts.into_iter().flatten().all(|bytes| bytes.len() < PREVIEW_BYTES)
    }

    /// Returns the place that identifies the letter among all pipelines' letters.
    pub fn place(&self) -> LetterPlace {
        (self.pipeline.clone(), self.letter.id.clone())
    }
}

/// Pipeline, and the identity of a letter within it.
pub type LetterPlace = (String, LetterId);

/// Returns the letters; those that the place refuses whole lose the keys and values of their records.
pub(crate) fn without_records(letters: &[DeadLetter], refused: &[Refused]) -> Vec<DeadLetter> {
    let mut cut = letters.to_vec();
    for Refused { row, reason } in refused {
        if let Some(letter) = cut.get_mut(*row) {
            letter.leave_record_out(reason);
        }
    }
    cut
}

/// A place for letters.
///
/// **Delivery**: when a call answers `Ok`, what it did is durable. Each may be made again after an error and then ends in the
/// same letters. **Order**: calls come one after another; each sees what those before it did. **Sharing**: the host and people's
/// commands use one place at the same time.
#[async_trait]
pub trait Letterbox: Send {
    /// Writes letters. A letter replaces an earlier one of the same record.
    async fn write(&mut self, pipeline: &str, letters: &[DeadLetter]) -> Result<(), SinkError>;

    /// Removes the letters of these records.
    async fn remove(&mut self, pipeline: &str, ids: &[LetterId]) -> Result<(), SinkError>;

    /// Removes the letters of the topic's records at these offsets and after them.
    async fn remove_from(
        &mut self,
        pipeline: &str,
        topic: &str,
        from: &BTreeMap<Partition, Offset>,
    ) -> Result<(), SinkError>;

    /// The next letters that fit, after this place, in the order of their places, [`MAX_FOUND`] at most. Of keys and values
    /// the first [`PREVIEW_BYTES`].
    async fn find(&mut self, filter: &Filter, after: Option<&LetterPlace>) -> Result<Vec<Letter>, SinkError>;

    /// A letter with all of its key and value.
    async fn read(&mut self, place: &LetterPlace) -> Result<Option<DeadLetter>, SinkError>;

    /// Asks for a retry of the letters that fit and have a record; says how many were not yet asked for.
    async fn mark(&mut self, filter: &Filter) -> Result<u64, SinkError>;

    /// Removes the letters that fit; says how many.
    async fn discard(&mut self, filter: &Filter) -> Result<u64, SinkError>;
}
