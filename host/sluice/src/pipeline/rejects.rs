//! Records that are left out: counted by reason, said without flooding the log, kept as dead letters.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sluice_core::dead_letter::{Cause, DeadLetter, DeadLetters};
use sluice_core::records::Records;

use super::status::Status;

/// At most one line in this time for a reason. Shorter: a bad producer fills the disk with log. Longer: people wait.
const QUIET: Duration = Duration::from_secs(60);

/// The most reasons that are kept apart; values in reasons could make them endless. Past it, all share one.
const MAX_REASONS: usize = 256;

/// What the reasons past [`MAX_REASONS`] share.
const OTHERS: &str = "other reasons";

/// One pipeline's records that are left out.
#[derive(Debug)]
pub struct Rejects {
    /// None: they are only counted.
    letters: Option<DeadLetters>,
    by_reason: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    last_line: Instant,
    since: u64,
}

impl Rejects {
    /// Of a pipeline that keeps letters, or doesn't.
    pub fn new(keeps_letters: bool) -> Rejects {
        Rejects { letters: keeps_letters.then(DeadLetters::default), by_reason: HashMap::new() }
    }

    /// A record that is left out.
    pub fn record(&mut self, status: &Status, records: &dyn Records, record: usize, cause: Cause<'_>, now: Instant) {
        let (partition, offset) = records.position(record);
        let place = format!("{}, partition {partition}, offset {offset}", records.topic());
        self.count(status, &place, cause.reason, now);
        if let Some(letters) = &mut self.letters {
            letters.add_record(records, record, cause);
        }
    }

    /// A fold's group of this key that the tables don't take.
    pub fn group(&mut self, status: &Status, key: &str, cause: Cause<'_>, now: Instant) {
        self.count(status, &format!("the group ({key})"), cause.reason, now);
        if let Some(letters) = &mut self.letters {
            letters.add_group(key, cause);
        }
    }

    /// How many letters wait for a flush.
    pub fn waiting(&self) -> usize {
        self.letters.as_ref().map_or(0, DeadLetters::len)
    }

    /// Whether the letters should be written before there are more.
    pub fn is_full(&self) -> bool {
        self.letters.as_ref().is_some_and(DeadLetters::is_full)
    }

    /// Takes the letters that wait.
    pub fn take(&mut self) -> Vec<DeadLetter> {
        self.letters.as_mut().map_or_else(Vec::new, DeadLetters::take)
    }

    /// Counts one, and logs it if it is the first of its reason or the first in a minute.
    fn count(&mut self, status: &Status, place: &str, reason: &str, now: Instant) {
        let known = self.by_reason.contains_key(reason);
        let key = if known || self.by_reason.len() < MAX_REASONS { reason } else { OTHERS };
        status.add_rejected(key, 1);
        match self.by_reason.get_mut(key) {
            Some(seen) if now.duration_since(seen.last_line) < QUIET => seen.since += 1,
            seen => {
                let unsaid = seen.map_or(0, |seen| seen.since);
                tracing::warn!(pipeline = status.name(), place, unsaid, "rejected: {reason}");
                self.by_reason.insert(key.to_owned(), Seen { last_line: now, since: 0 });
            }
        }
    }
}
