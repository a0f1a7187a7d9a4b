//! Records that are left out: counted by reason, said without flooding the log, kept as dead letters.

use std::collections::HashMap;
use std::time::Duration;

use super::Now;
use super::report::{LeftOutLine, Report};
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
    /// Dead letters of these records; none if the records are only counted.
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
    /// Returns the rejects of a run that keeps letters of them, or doesn't.
    pub fn new(keeps_letters: bool) -> Rejects {
        let letters = keeps_letters.then(DeadLetters::default);
        Rejects { letters, by_reason: HashMap::new(), reports: Vec::new() }
    }

    /// Says whether letters are made of what is rejected.
    pub fn keeps_letters(&self) -> bool {
        self.letters.is_some()
    }

    /// Leaves out a record.
    pub fn record(&mut self, records: &dyn Records, record: usize, cause: Cause<'_>, now: Now) {
        self.count(|| place(records, record), cause.reason, now);
        if let Some(letters) = &mut self.letters {
            letters.add_record(records, record, cause);
        }
    }

    /// Leaves out the group of this key, which the tables don't take.
    pub fn group(&mut self, key: &str, cause: Cause<'_>, now: Now) {
        self.count(|| format!("the group ({key})"), cause.reason, now);
        if let Some(letters) = &mut self.letters {
            letters.add_group(key, cause);
        }
    }

    /// Counts and reports what the decoder left out or dropped. No letter is kept of it.
    pub fn note(&mut self, records: &dyn Records, note: &Note, now: Now) {
        let (key, unsaid) = self.seen(&note.reason, note.times as u64, now);
        let line = |unsaid| LeftOutLine {
            place: place(records, note.record),
            unsaid,
            example: Some(note.example.clone()),
            reason: note.reason.clone(),
        };
        let (reason, line) = (key.to_owned(), unsaid.map(line));
        self.reports.push(Report::LeftOut { lost: note.lost, reason, times: note.times, line });
    }

    /// Returns the number of letters that wait for a flush.
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
        let line =
            unsaid.map(|unsaid| LeftOutLine { place: place(), unsaid, example: None, reason: reason.to_owned() });
        let reason = key.to_owned();
        self.reports.push(Report::LeftOut { lost: Lost::Record, reason, times: 1, line });
    }

    /// Returns the reason under which so many are counted; and, if one of them is logged, the number of others that were not since the last
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
    use crate::dead_letter::{LetterId, RetriedRecords};
    use crate::interval::{Offset, Partition};
    use crate::rejected::Stage;

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

    fn records() -> RetriedRecords {
        let letter = |offset| DeadLetter {
            id: LetterId { topic: "t".to_owned(), partition: Partition(3), offset: Offset(offset) },
            key: None,
            value: None,
            timestamp: None,
            stage: Stage::Decode,
            reason: String::new(),
            operator: None,
            time: 0,
            retry: false,
        };
        RetriedRecords::by_topic((0..1_000).map(letter).collect()).remove(0)
    }

    fn cause(reason: &str) -> Cause<'_> {
        Cause { stage: Stage::Decode, reason, operator: None, time: 0 }
    }

    /// The reports: what was lost, the reason, how often, and the line.
    fn said(rejects: &mut Rejects) -> Vec<(Lost, String, usize, Option<LeftOutLine>)> {
        let report = |report| match report {
            Report::LeftOut { lost, reason, times, line } => (lost, reason, times, line),
            _ => panic!("nothing else is said"),
        };
        rejects.reports().into_iter().map(report).collect()
    }

    fn line(place: &str, unsaid: u64, example: Option<&str>, reason: &str) -> Option<LeftOutLine> {
        let example = example.map(str::to_owned);
        Some(LeftOutLine { place: place.to_owned(), unsaid, example, reason: reason.to_owned() })
    }

    #[test]
    fn what_is_left_out_is_said_with_its_place_and_others_in_turn_for_the_same_reason_are_counted_with_it() {
        let (mut rejects, records, now) = (Rejects::new(true), records(), Now::default());
        for (record, reason) in [(4, "a"), (5, "a"), (6, "a"), (7, "b"), (8, "a")] {
            rejects.record(&records, record, cause(reason), now);
        }
        rejects.group("k", cause("c"), now);
        let place = |offset| format!("t, partition 3, offset {offset}");
        let expected = [
            (Lost::Record, "a".to_owned(), 3, line(&place(4), 0, None, "a")),
            (Lost::Record, "b".to_owned(), 1, line(&place(7), 0, None, "b")),
            (Lost::Record, "a".to_owned(), 1, None),
            (Lost::Record, "c".to_owned(), 1, line("the group (k)", 0, None, "c")),
        ];
        assert_eq!(said(&mut rejects), expected);
        let later = Now { since: QUIET, ..now };
        rejects.record(&records, 9, cause("a"), later);
        assert_eq!(said(&mut rejects), [(Lost::Record, "a".to_owned(), 1, line(&place(9), 3, None, "a"))]);
        assert_eq!((rejects.waiting(), rejects.take().len(), rejects.waiting()), (7, 7, 0));
    }

    #[test]
    fn what_the_decoder_dropped_is_said_with_an_example_and_has_no_letter() {
        let mut rejects = Rejects::new(true);
        let note = Note { lost: Lost::Value, record: 2, times: 5, reason: "a".to_owned(), example: "x".to_owned() };
        rejects.note(&records(), &note, Now::default());
        rejects.note(&records(), &note, Now::default());
        let place = "t, partition 3, offset 2";
        let first = (Lost::Value, "a".to_owned(), 5, line(place, 4, Some("x"), "a"));
        assert_eq!(said(&mut rejects), [first, (Lost::Value, "a".to_owned(), 5, None)]);
        assert_eq!(rejects.waiting(), 0);
    }

    #[test]
    fn letters_are_kept_if_they_are_to_be() {
        for keeps in [false, true] {
            let mut rejects = Rejects::new(keeps);
            rejects.record(&records(), 1, cause("a"), Now::default());
            assert_eq!((rejects.keeps_letters(), rejects.waiting()), (keeps, usize::from(keeps)));
        }
    }

    #[test]
    fn reasons_past_the_most_share_one_and_those_that_are_known_keep_theirs() {
        let (mut rejects, records) = (Rejects::new(false), records());
        for reason in (0..MAX_REASONS + 3).chain([0]) {
            rejects.record(&records, reason, cause(&reason.to_string()), Now::default());
        }
        let said = said(&mut rejects);
        let mut expected: Vec<(String, usize)> = (0..MAX_REASONS).map(|reason| (reason.to_string(), 1)).collect();
        expected.extend([(OTHERS.to_owned(), 3), ("0".to_owned(), 1)]);
        assert_eq!(said.iter().map(|(_, reason, times, _)| (reason.clone(), *times)).collect::<Vec<_>>(), expected);
        let shared = said[MAX_REASONS].3.as_ref().unwrap();
        assert_eq!(shared.reason, MAX_REASONS.to_string(), "a line says the whole reason");
    }
}
