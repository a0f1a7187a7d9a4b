//! What waits for the next flush of a run.

use std::collections::BTreeSet;

use super::made::Made;
use super::pending::{FlushPolicy, Pending};
use super::rejects::Rejects;
use crate::dead_letter::{DeadLetter, LetterId};

/// Rows, letters, and letters whose records were taken in again.
pub(super) struct Outbox {
    pub(super) pending: Pending,
    pub(super) rejects: Rejects,
    retried: BTreeSet<LetterId>,
    retries: Vec<u64>,
}

impl Outbox {
    pub(super) fn new(policy: FlushPolicy, keeps_letters: bool) -> Outbox {
        Outbox {
            pending: Pending::new(policy),
            rejects: Rejects::new(keeps_letters),
            retried: BTreeSet::new(),
            retries: Vec::new(),
        }
    }

    /// Says whether nothing more may be taken in before a flush.
    pub(super) fn is_full(&self) -> bool {
        self.pending.is_full() || self.rejects.is_full()
    }

    /// Letters and retries that wait.
    pub(super) fn letters(&self) -> usize {
        self.rejects.waiting() + self.retries.len()
    }

    /// Says whether somebody waits for a retry to be done.
    pub(super) fn has_retries(&self) -> bool {
        !self.retries.is_empty()
    }

    /// The retry of this number is taken in, or will be.
    pub(super) fn add_retry(&mut self, id: u64) {
        self.retries.push(id);
    }

    /// The record of this letter was taken in again.
    pub(super) fn add_retried(&mut self, letter: LetterId) {
        self.retried.insert(letter);
    }

    pub(super) fn push(&mut self, made: Made) {
        self.pending.push(made);
    }

    /// Takes the letters, the letters to be removed, and the retries that are done with them. A record that was left out again has
    /// its letter written anew, and not removed.
    pub(super) fn take_letters(&mut self) -> (Vec<DeadLetter>, Vec<LetterId>, Vec<u64>) {
        let letters = self.rejects.take();
        let mut retried = std::mem::take(&mut self.retried);
        for letter in &letters {
            retried.remove(&letter.id);
        }
        (letters, retried.into_iter().collect(), std::mem::take(&mut self.retries))
    }
}
