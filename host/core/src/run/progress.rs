//! How far a run is.

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
    /// That of a run which goes on from this checkpoint.
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

    /// The records before `next` are consumed.
    pub(super) fn consume(&mut self, records: &dyn Records, next: usize) -> Result<(), End> {
        for (partition, interval) in consumed(records, next) {
            self.head.intervals.extend(partition, interval).map_err(|misfit| {
                End::Fault(format!("{}: {misfit}; this is a defect of the source's connector", records.topic()))
            })?;
        }
        Ok(())
    }
}
