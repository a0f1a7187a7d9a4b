//! Rows that only a server can judge: foreign keys, checks, character sets, triggers, times that a zone doesn't have.
//!
//! ```text
//! flush ─refused─▶ by halves, in a transaction that is rolled back ─▶ the rows at fault ─▶ their records or groups
//!   ▲                                                                                        │ left out whole, counted,
//!   └──────────────────────────── the rest, as if they had not been ◀────────────────────────┘ letters with the server's words
//! ```
//!
//! A record is left out whole: none of its rows is written, in no table of this flush that is not written yet. Where rows of
//! several records have the same key, the last is written; if that one is refused, the one before it is. A fold's group keeps
//! its state, which counts on: its row is tried again when it changes.

use std::collections::BTreeMap;

use super::Now;
use super::flush::{Flush, FlushError};
use super::made::{Made, Maker};
use super::rejects::Rejects;
use super::report::Report;
use crate::dead_letter::{Cause, DeadLetter, LetterId};
use crate::port::Refused;
use crate::rejected::Stage;
use crate::rows::shown_row;

/// Number of searches without a row at fault, in one table for one flush that it refused, after which the table is given up. More: a
/// pipeline goes round and round. Fewer: a parent row that comes a moment after its child stops the pipeline.
const IN_VAIN: u32 = 3;

/// The records and groups of a run that a server refused.
pub(super) struct Poison {
    rejects: Rejects,
    /// True if one of them stops the pipeline.
    stops: bool,
}

/// The searches of one flush in one table.
#[derive(Debug, Default)]
pub(super) struct Searches {
    begun: u32,
    in_vain: u32,
}

impl Searches {
    /// Says whether the next search looks at all rows, and not only at the last of each key: once the last ones were refused, those before
    /// them are to be written, and of a thousand under one key each may be refused in its turn.
    pub(super) fn of_all_rows(&self) -> bool {
        self.begun > 0
    }

    /// Counts a search, with the number of rows that it found to be refused, in a table that said these words.
    ///
    /// # Errors
    /// `Unusable` if they have found nothing too often.
    pub(super) fn found(&mut self, refused: usize, sink: &str, words: String) -> Result<(), FlushError> {
        self.begun += 1;
        self.in_vain += u32::from(refused == 0);
        if self.in_vain < IN_VAIN {
            return Ok(());
        }
        let reason = format!("it refuses the rows of a flush, and none of them by itself: {words}");
        Err(FlushError::Unusable { sink: sink.to_owned(), reason })
    }
}

impl Poison {
    pub(super) fn new(keeps_letters: bool, stops: bool) -> Poison {
        Poison { rejects: Rejects::new(keeps_letters), stops }
    }

    /// Takes what is to be said.
    pub(super) fn reports(&mut self) -> Vec<Report> {
        self.rejects.reports()
    }

    /// Takes the letters that wait.
    pub(super) fn letters(&mut self) -> Vec<DeadLetter> {
        self.rejects.take()
    }

    /// Leaves out of a flush the records and groups that made these rows, which this sink refused.
    ///
    /// # Errors
    /// `Refused` if that stops the pipeline.
    pub(super) fn leave_out(
        &mut self,
        flush: &mut Flush,
        (sink, key): (&str, &[usize]),
        refused: Vec<Refused>,
        now: Now,
    ) -> Result<(), FlushError> {
        let mut refused = refused.into_iter().peekable();
        let mut first = 0;
        let Flush { batches, head, durable, .. } = flush;
        for made in batches {
            let end = first + made.rows.rows;
            let here = std::iter::from_fn(|| refused.next_if(|refused| refused.row < end));
            let here =
                here.map(|refused| Refused { row: refused.row - first, reason: format!("{sink}: {}", refused.reason) });
            let here: Vec<Refused> = here.collect();
            first = end;
            if here.is_empty() {
                continue;
            }
            let gone = self.blame(made, key, here, &mut head.retried, now)?;
            made.take_out(&gone).map_err(|reason| FlushError::Unusable { sink: sink.to_owned(), reason })?;
        }
        if !*durable && self.rejects.is_full() {
            let reason = "it refuses more rows of the operators on trial than are kept as dead letters".to_owned();
            return Err(FlushError::Unusable { sink: sink.to_owned(), reason });
        }
        Ok(())
    }

    /// Counts, reports and keeps the records or groups that made these rows. Returns the rows to leave out: of a record, all that it made.
    fn blame(
        &mut self,
        made: &Made,
        key: &[usize],
        refused: Vec<Refused>,
        retried: &mut Vec<LetterId>,
        now: Now,
    ) -> Result<Vec<Refused>, FlushError> {
        let columns = &made.rows.columns;
        let cause = |reason| Cause { stage: Stage::Sink, reason, operator: None, time: now.micros };
        match &made.by {
            Maker::Groups { keys } => {
                for Refused { row, reason } in &refused {
                    let group = shown_row(&columns[..(*keys).min(columns.len())], *row);
                    if self.stops {
                        return Err(FlushError::Refused {
                            what: format!("the group ({group})"),
                            reason: reason.clone(),
                        });
                    }
                    self.rejects.group(&group, cause(reason), now);
                }
                Ok(refused)
            }
            Maker::Records { records, of_row } => {
                let mut bad: BTreeMap<usize, Refused> = BTreeMap::new();
                for refused in refused {
                    bad.entry(of_row[refused.row]).or_insert(refused);
                }
                for (record, Refused { row, reason }) in &bad {
                    let (partition, offset) = records.position(*record);
                    let id = LetterId { topic: records.letter_topic().to_owned(), partition, offset };
                    let was_retried = retried.len();
                    retried.retain(|retried| *retried != id);
                    // One that was driven through again doesn't stop the pipeline, since it would at each start.
                    if self.stops && was_retried == retried.len() {
                        let key: Vec<_> = key.iter().filter_map(|column| columns.get(*column).cloned()).collect();
                        let row =
                            if key.is_empty() { String::new() } else { format!(", row ({})", shown_row(&key, *row)) };
                        let what = format!("{}, partition {partition}, offset {offset}{row}", records.topic());
                        return Err(FlushError::Refused { what, reason: reason.clone() });
                    }
                    self.rejects.record(records.as_ref(), *record, cause(reason), now);
                }
                let gone = of_row.iter().enumerate().filter(|(_, record)| bad.contains_key(record));
                Ok(gone.map(|(row, _)| Refused { row, reason: String::new() }).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::batch::RowOrigins;
    use crate::dead_letter::{MAX_HELD, RetriedRecords};
    use crate::interval::{Offset, Partition};
    use crate::records::Records;
    use crate::rows::Rows;
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{ArrayRef, Int64Array};
    use proptest::prelude::*;

    fn id(offset: usize) -> LetterId {
        LetterId { topic: "t".to_owned(), partition: Partition(0), offset: Offset(offset as i64) }
    }

    /// Records that each make some rows, whose values are the records' offsets.
    fn made(offsets: std::ops::Range<usize>, rows_of: &[usize]) -> Made {
        let letters: Vec<DeadLetter> = offsets
            .clone()
            .map(|offset| DeadLetter {
                id: id(offset),
                key: None,
                value: Some(offset.to_string().into_bytes()),
                timestamp: None,
                stage: Stage::Decode,
                reason: String::new(),
                operator: None,
                time: 0,
                retry: false,
            })
            .collect();
        let records: Arc<dyn Records> = Arc::new(RetriedRecords::by_topic(letters).remove(0));
        let (mut origins, mut values) = (RowOrigins::from_record(0), Vec::new());
        for (record, offset) in offsets.enumerate() {
            for _ in 0..rows_of[record % rows_of.len()] {
                origins.push(record);
                values.push(offset as i64);
            }
        }
        let rows = Rows { rows: values.len(), columns: vec![Arc::new(Int64Array::from(values)) as ArrayRef] };
        Made::of_records(&records, rows, &origins, true)
    }

    fn values(flush: &Flush) -> Vec<i64> {
        let columns = flush.batches.iter().map(|made| made.rows.columns[0].as_primitive::<Int64Type>());
        columns.flat_map(|column| column.values().to_vec()).collect()
    }

    proptest! {
        #[test]
        fn a_record_of_which_a_row_is_refused_is_left_out_whole_with_a_letter_and_no_other_is(
            rows_of in prop::collection::vec(1usize..4, 1..5),
            rounds in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..6), 1..3),
            retried in prop::collection::btree_set(0usize..30, 0..5),
        ) {
            let mut flush = Flush { durable: true, ..Flush::default() };
            flush.batches = vec![made(0..10, &rows_of), made(10..11, &rows_of), made(11..30, &rows_of)];
            flush.head.retried = retried.iter().map(|offset| id(*offset)).collect();
            let mut poison = Poison::new(true, false);
            let mut bad = std::collections::BTreeSet::new();
            for round in rounds {
                let left = values(&flush);
                if left.is_empty() {
                    break;
                }
                let rows: std::collections::BTreeSet<usize> = round.iter().map(|index| index.index(left.len())).collect();
                bad.extend(rows.iter().map(|row| left[*row]));
                let refused = rows.iter().map(|row| Refused { row: *row, reason: "no".to_owned() }).collect();
                poison.leave_out(&mut flush, ("s", &[0]), refused, Now::default()).unwrap();
            }
            let expected = (0..30).flat_map(|offset| {
                let within = if offset < 10 { offset } else if offset < 11 { offset - 10 } else { offset - 11 };
                vec![offset as i64; rows_of[within % rows_of.len()]]
            });
            prop_assert_eq!(values(&flush), expected.filter(|offset| !bad.contains(offset)).collect::<Vec<_>>());
            let letters = poison.letters();
            prop_assert_eq!(letters.iter().map(|letter| letter.id.offset.0).collect::<Vec<_>>(), bad.iter().copied().collect::<Vec<_>>());
            for letter in &letters {
                prop_assert_eq!(letter.value.clone(), Some(letter.id.offset.0.to_string().into_bytes()));
                prop_assert_eq!((letter.reason.as_str(), letter.stage), ("s: no", Stage::Sink));
            }
            let counted = poison.reports().into_iter().map(|report| match report {
                Report::LeftOut { times, .. } => times,
                _ => 0,
            });
            prop_assert_eq!(counted.sum::<usize>(), bad.len());
            let still: Vec<LetterId> = retried.iter().filter(|offset| !bad.contains(&(**offset as i64))).map(|offset| id(*offset)).collect();
            prop_assert_eq!(&flush.head.retried, &still);
        }
    }

    #[test]
    fn where_a_fault_stops_the_first_record_is_named_with_its_place_key_and_words_unless_it_was_retried() {
        let refused = || vec![Refused { row: 4, reason: "no".to_owned() }];
        let mut flush = Flush { batches: vec![made(0..10, &[1])], ..Flush::default() };
        let mut poison = Poison::new(true, true);
        let stopped = poison.leave_out(&mut flush, ("s", &[0]), refused(), Now::default()).unwrap_err();
        assert_eq!(stopped.to_string(), "t, partition 0, offset 4, row (4): s: no");
        flush.head.retried = vec![id(4)];
        poison.leave_out(&mut flush, ("s", &[0]), refused(), Now::default()).unwrap();
        assert_eq!((poison.letters().len(), flush.head.retried.len(), values(&flush).len()), (1, 0, 9));
    }

    #[test]
    fn more_rows_than_letters_are_held_fail_a_trial_and_nothing_else() {
        for (durable, rows, fails) in [(false, MAX_HELD - 1, false), (false, MAX_HELD, true), (true, MAX_HELD, false)] {
            let mut flush = Flush { batches: vec![made(0..MAX_HELD, &[1])], durable, ..Flush::default() };
            let refused = (0..rows).map(|row| Refused { row, reason: "no".to_owned() }).collect();
            let left = Poison::new(true, false).leave_out(&mut flush, ("s", &[0]), refused, Now::default());
            assert_eq!(left.is_err(), fails, "{left:?}");
        }
    }
}
