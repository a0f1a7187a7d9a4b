//! Records that are left out: counted by reason, said without flooding the log, kept as dead letters.

use std::collections::HashMap;
use std::time::Duration;

use super::Now;
use super::report::{Line, Report};
use crate::dead_letter::{Cause, DeadLetter, DeadLetters};
use crate::decode::{Lost, Note};
use crate::records::Records;

/// At most one line in this time for a reason. Shorter: a bad producer fills the disk with log. Longer: people wait.
const QUIET: Duration = Duration::from_secs(60);

/// The most reasons that are kept apart; values in reasons could make them endless. Past it, all share one.
const MAX_REASONS: usize = 256;

/// The name that the reasons past [`MAX_REASONS`] share.
const OTHERS: &str = "other reasons";

/// The records of a run that are left out.
pub struct Rejects {
    /// None: they are only counted.
    letters: Option<DeadLetters>,
    by_reason: HashMap<String, Seen>,
    reports: Vec<Report>,
}

#[derive(Debug)]
struct Seen {
    last_line: Duration,
    since: u64,
}

impl Rejects {
    /// The records that a run leaves out which keeps letters of them, or doesn't.
    pub fn new(keeps_letters: bool) -> Rejects {
        let letters = keeps_letters.then(DeadLetters::default);
        Rejects { letters, by_reason: HashMap::new(), reports: Vec::new() }
    }

    /// Says whether letters are made of what is rejected.
    pub fn keeps_letters(&self) -> bool {
        self.letters.is_some()
    }

    /// A record is left out.
    pub fn record(&mut self, records: &dyn Records, record: usize, cause: Cause<'_>, now: Now) {
        self.count(|| place(records, record), cause.reason, now);
        if let Some(letters) = &mut self.letters {
            letters.add_record(records, record, cause);
        }
    }

    /// The tables don't take the group of this key.
    pub fn group(&mut self, key: &str, cause: Cause<'_>, now: Now) {
        self.count(|| format!("the group ({key})"), cause.reason, now);
        if let Some(letters) = &mut self.letters {
            letters.add_group(key, cause);
        }
    }

    /// The decoder left out or dropped something, which is counted and said, and never kept.
    pub fn note(&mut self, records: &dyn Records, note: &Note, now: Now) {
        let (key, unsaid) = self.seen(&note.reason, note.times as u64, now);
        let line = |unsaid| Line {
            place: place(records, note.record),
            unsaid,
            example: Some(note.example.clone()),
            reason: note.reason.clone(),
        };
        let (reason, line) = (key.to_owned(), unsaid.map(line));
        self.reports.push(Report::LeftOut { lost: note.lost, reason, times: note.times, line });
    }

    /// The number of letters that wait for a flush.
    pub fn waiting(&self) -> usize {
        self.letters.as_ref().map_or(0, DeadLetters::len)
    }

    /// Says whether the letters should be written before there are more.
    pub fn is_full(&self) -> bool {
        self.letters.as_ref().is_some_and(DeadLetters::is_full)
    }

    /// Takes the letters that wait.
    pub fn take(&mut self) -> Vec<DeadLetter> {
        self.letters.as_mut().map_or_else(Vec::new, DeadLetters::take)
    }

    /// Takes what is to be said.
    pub fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Counts one; it is logged if it is the first of its reason or the first in a minute.
    fn count(&mut self, place: impl FnOnce() -> String, reason: &str, now: Now) {
        let (key, unsaid) = self.seen(reason, 1, now);
        if unsaid.is_none()
            && let Some(Report::LeftOut { lost: Lost::Record, reason, times, .. }) = self.reports.last_mut()
            && reason == key
        {
            *times += 1;
            return;
        }
        let line = unsaid.map(|unsaid| Line { place: place(), unsaid, example: None, reason: reason.to_owned() });
        let reason = key.to_owned();
        self.reports.push(Report::LeftOut { lost: Lost::Record, reason, times: 1, line });
    }

    /// The reason under which so many are counted; and, if one of them is logged, the number of others that were not since the last
    /// that was.
    fn seen<'a>(&mut self, reason: &'a str, times: u64, now: Now) -> (&'a str, Option<u64>) {
        let known = self.by_reason.contains_key(reason);
        let key = if known || self.by_reason.len() < MAX_REASONS { reason } else { OTHERS };
        (key, self.line_due(key, times, now.since))
    }

    fn line_due(&mut self, reason: &str, times: u64, now: Duration) -> Option<u64> {
        match self.by_reason.get_mut(reason) {
            Some(seen) if now.saturating_sub(seen.last_line) < QUIET => {
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

/// The topic, partition and offset of a record, for people.
fn place(records: &dyn Records, record: usize) -> String {
    let (partition, offset) = records.position(record);
    format!("{}, partition {partition}, offset {offset}", records.topic())
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
            let (mut now, mut said, mut counted, mut all) = (Duration::ZERO, vec![Vec::new(); 3], [0; 3], [0; 3]);
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
