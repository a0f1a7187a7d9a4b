//! Rows and letters that wait for the next flush of a run.

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

    /// Returns the number of letters and retries that wait.
    pub(super) fn letters(&self) -> usize {
        self.rejects.waiting() + self.retries.len()
    }

    /// Says whether a retry waits to be done.
    pub(super) fn has_retries(&self) -> bool {
        !self.retries.is_empty()
    }

    /// Adds a retry that is taken in, or will be.
    pub(super) fn add_retry(&mut self, id: u64) {
        self.retries.push(id);
    }

    /// Adds the letter of a record that was taken in again.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dead_letter::{Cause, LetterId, MAX_HELD};
    use crate::rejected::Stage;
    use crate::run::Now;

    fn outbox() -> Outbox {
        Outbox::new(FlushPolicy { rows: 10, interval: Duration::from_secs(1) }, true)
    }

    fn reject(outbox: &mut Outbox, key: &str) {
        let cause = Cause { stage: Stage::Sink, reason: "no", operator: None, time: 0 };
        outbox.rejects.group(key, cause, Now::default());
    }

    #[test]
    fn as_many_letters_as_may_be_held_are_full_without_any_row() {
        let mut outbox = outbox();
        (1..MAX_HELD).for_each(|key| reject(&mut outbox, &key.to_string()));
        assert!(!outbox.is_full());
        reject(&mut outbox, "last");
        assert!(outbox.is_full() && outbox.letters() == MAX_HELD);
        outbox.take_letters();
        assert!(!outbox.is_full());
    }

    #[test]
    fn letters_and_retries_wait_until_they_are_taken_and_a_record_left_out_again_keeps_its_letter() {
        let mut outbox = outbox();
        assert!(outbox.letters() == 0 && !outbox.has_retries());
        outbox.add_retry(7);
        outbox.add_retry(8);
        assert!(outbox.letters() == 2 && outbox.has_retries());
        for key in ["good", "bad"] {
            outbox.add_retried(LetterId::of_group(key));
        }
        reject(&mut outbox, "bad");
        assert_eq!(outbox.letters(), 3);
        let (letters, removed, retries) = outbox.take_letters();
        assert_eq!(letters.iter().map(|letter| &letter.id).collect::<Vec<_>>(), [&LetterId::of_group("bad")]);
        assert_eq!((removed, retries), (vec![LetterId::of_group("good")], vec![7, 8]));
        assert!(outbox.letters() == 0 && !outbox.has_retries());
        assert_eq!(outbox.take_letters(), (vec![], vec![], vec![]));
    }
}
