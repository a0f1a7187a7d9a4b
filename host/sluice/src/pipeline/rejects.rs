//! Records that are left out: counted by reason, said without flooding the log, kept as dead letters.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sluice_core::dead_letter::{Cause, DeadLetter, DeadLetters};
use sluice_core::decode::{Lost, Note};
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
    /// Whether letters are made of what is rejected.
    pub fn keeps_letters(&self) -> bool {
        self.letters.is_some()
    }

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

    /// What the decoder left out or dropped, which is counted and said, and never kept.
    pub fn note(&mut self, status: &Status, records: &dyn Records, note: &Note, now: Instant) {
        let (partition, offset) = records.position(note.record);
        let place = format!("{}, partition {partition}, offset {offset}", records.topic());
        let (key, unsaid) = self.seen(&note.reason, note.times as u64, now);
        match note.lost {
            Lost::Record => status.add_rejected(key, note.times),
            Lost::Value => status.add_dropped(key, note.times),
        }
        let Some(unsaid) = unsaid else { return };
        let (first, pipeline) = (&note.example, status.name());
        match note.lost {
            Lost::Record => tracing::warn!(pipeline, place, unsaid, first, "left out: {}", note.reason),
            Lost::Value => tracing::warn!(pipeline, place, unsaid, first, "dropped: {}", note.reason),
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
        let (key, unsaid) = self.seen(reason, 1, now);
        status.add_rejected(key, 1);
        if let Some(unsaid) = unsaid {
            tracing::warn!(pipeline = status.name(), place, unsaid, "rejected: {reason}");
        }
    }

    /// Under which reason so many are counted, and whether one of them is logged: then how many others were not since the last that
    /// was.
    fn seen<'a>(&mut self, reason: &'a str, times: u64, now: Instant) -> (&'a str, Option<u64>) {
        let known = self.by_reason.contains_key(reason);
        let key = if known || self.by_reason.len() < MAX_REASONS { reason } else { OTHERS };
        (key, self.line_due(key, times, now))
    }

    fn line_due(&mut self, reason: &str, times: u64, now: Instant) -> Option<u64> {
        match self.by_reason.get_mut(reason) {
            Some(seen) if now.duration_since(seen.last_line) < QUIET => {
                seen.since += times;
                None
            }
            Some(seen) => {
                seen.last_line = now;
                Some(std::mem::take(&mut seen.since) + times - 1)
            }
            None => {
                self.by_reason.insert(reason.to_owned(), Seen { last_line: now, since: 0 });
                Some(times - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_of_a_reason_is_said_then_one_a_minute_and_each_is_said_or_counted(
            gaps in prop::collection::vec((0u64..40, 0usize..3, 1u64..5), 1..100),
        ) {
            let mut rejects = Rejects::new(false);
            let (mut now, mut said, mut counted, mut all) = (Instant::now(), vec![Vec::new(); 3], [0; 3], [0; 3]);
            for (seconds, reason, times) in gaps {
                now += Duration::from_secs(seconds);
                all[reason] += times;
                if let Some(unsaid) = rejects.line_due(&reason.to_string(), times, now) {
                    said[reason].push(now);
                    counted[reason] += 1 + unsaid;
                } else {
                    prop_assert!(now - *said[reason].last().unwrap() < QUIET);
                }
                let since = rejects.by_reason[&reason.to_string()].since;
                prop_assert_eq!(counted[reason] + since, all[reason]);
            }
            prop_assert!(said.iter().all(|said| said.windows(2).all(|pair| pair[1] - pair[0] >= QUIET)));
        }
    }
}
