//! Count of the records and values that were left out without being at fault, by reason, so that nothing is dropped silently.

use std::collections::BTreeMap;

/// Kind of the data that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// A record.
    Record,
    /// A value or a part of one: it has become null, or another character stands in its text.
    Value,
}

/// Number of records or values that were left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Kind of the data.
    pub lost: Lost,
    /// Reason, in words that don't differ from record to record.
    pub reason: String,
    /// Number of times that it happened.
    pub times: usize,
    /// First record that it happened to.
    pub record: usize,
    /// Reason in the words of the first record.
    pub example: String,
}

/// The notes of one batch.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(Lost, String), Note>);

impl Tally {
    pub(super) fn add(&mut self, lost: Lost, reason: String, record: usize, example: impl FnOnce() -> String) {
        let first = |reason: &str| Note { lost, reason: reason.to_owned(), times: 0, record, example: example() };
        let key = (lost, reason);
        match self.0.get_mut(&key) {
            Some(note) => note.times += 1,
            None => {
                let note = Note { times: 1, ..first(&key.1) };
                self.0.insert(key, note);
            }
        }
    }

    pub(super) fn take(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}
