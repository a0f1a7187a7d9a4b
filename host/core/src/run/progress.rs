//! Progress of a run through its topic.

use std::collections::BTreeMap;

use super::End;
use crate::checkpoint::Checkpoint;
use crate::interval::{Intervals, Offset, Partition};
use crate::records::{Records, consumed};

/// An offset for each partition.
pub(super) type Ends = BTreeMap<Partition, Offset>;

/// The place of a run: the checkpoint that it began from, moved on by what it took in since.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The checkpoint as of this batch boundary.
    pub head: Checkpoint,
    /// The offsets that the rows of a fold are at, if they are ahead of its states: flushes wait until the run has passed this.
    pub rows_ahead: Ends,
    /// The offsets at which the run is to end, if it is to end by itself.
    pub until: Option<Ends>,
    /// The last checkpoint that is known to be made.
    pub(super) committed: u64,
    /// The intervals that the last flush covered; none before the first, which keeps where reading began.
    pub(super) flushed: Option<Intervals>,
}

impl Progress {
    /// Returns the progress of a run which goes on from this checkpoint.
    pub fn from(head: Checkpoint, rows_ahead: Ends, until: Option<Ends>) -> Progress {
        Progress { committed: head.commits, head, rows_ahead, until, flushed: None }
    }

    /// Says whether no row in the table is ahead of the states.
    pub(super) fn has_passed_rows(&self) -> bool {
        self.head.intervals.reaches(&self.rows_ahead)
    }

    /// Says whether every checkpoint that was handed over is known to be made.
    pub(super) fn is_committed(&self) -> bool {
        self.committed == self.head.commits
    }

    /// Says whether a run that is to end by itself has read all that it is to read.
    pub(super) fn is_at_the_end(&self) -> bool {
        self.until.as_ref().is_some_and(|ends| self.head.intervals.reaches(ends))
    }

    /// Says whether something was consumed that no flush covers.
    pub(super) fn has_news(&self) -> bool {
        self.flushed.as_ref() != Some(&self.head.intervals)
    }

    /// The number of records between what was consumed and these ends, for each partition.
    pub(super) fn behind(&self, ends: &Ends) -> BTreeMap<Partition, u64> {
        let behind = |(partition, end): (&Partition, &Offset)| {
            let next = self.head.intervals.end(*partition).unwrap_or(Offset(0));
            (*partition, u64::try_from(end.0.saturating_sub(next.0)).unwrap_or(0))
        };
        ends.iter().map(behind).collect()
    }

    /// Notes that the records before `next` are consumed.
    pub(super) fn consume(&mut self, records: &dyn Records, next: usize) -> Result<(), End> {
        for (partition, interval) in consumed(records, next) {
            self.head.intervals.extend(partition, interval).map_err(|misfit| {
                End::Fault(format!("{}: {misfit}; this is a defect of the source's connector", records.topic()))
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::Interval;

    /// A run that has consumed the records before these offsets.
    fn at(ends: &[(i32, i64)]) -> Progress {
        let mut head = Checkpoint::default();
        for (partition, end) in ends {
            let interval = Interval::new(Offset(0), Offset(*end)).unwrap();
            head.intervals.extend(Partition(*partition), interval).unwrap();
        }
        Progress::from(head, Ends::new(), None)
    }

    fn ends(ends: &[(i32, i64)]) -> Ends {
        ends.iter().map(|(partition, end)| (Partition(*partition), Offset(*end))).collect()
    }

    #[test]
    fn a_run_is_behind_each_end_by_the_records_before_it_that_it_has_not_consumed() {
        let behind = at(&[(0, 5), (1, 9)]).behind(&ends(&[(0, 7), (1, 8), (2, 3)]));
        assert_eq!(
            behind.into_iter().map(|(partition, records)| (partition.0, records)).collect::<Vec<_>>(),
            [(0, 2), (1, 0), (2, 3)]
        );
    }

    #[test]
    fn rows_that_are_ahead_are_passed_and_an_end_is_reached_once_all_before_is_consumed() {
        for (consumed, expected) in [(4, false), (5, true), (6, true)] {
            let mut progress = at(&[(0, consumed)]);
            assert!(progress.has_passed_rows() && !progress.is_at_the_end(), "there are none");
            progress.rows_ahead = ends(&[(0, 5)]);
            progress.until = Some(ends(&[(0, 5)]));
            assert_eq!((progress.has_passed_rows(), progress.is_at_the_end()), (expected, expected));
        }
    }

    #[test]
    fn what_was_handed_over_is_committed_once_it_is_said_and_news_is_what_no_flush_covers() {
        let mut progress = at(&[(0, 5)]);
        assert!(progress.is_committed() && progress.has_news(), "the first flush keeps where reading begins");
        progress.flushed = Some(progress.head.intervals.clone());
        progress.head.commits += 1;
        assert!(!progress.is_committed() && !progress.has_news());
        progress.committed = 1;
        progress.head.intervals.resume(Partition(0), Offset(6)).unwrap();
        assert!(progress.is_committed() && progress.has_news());
    }
}
