//! Freshness of a pipeline's tables: the last time at which they were to have all that the source had.
//!
//! ```text
//! the lane asks at t where the topic ends ──▶ a flush that has read to there is written ──▶ the tables' data are of t
//! ```
//!
//! Nothing else makes data younger: whatever hangs (source, lane, flusher, tables), they are as old as they are.

use std::collections::{BTreeMap, VecDeque};

use sluice_core::{Offset, Partition};

/// Answers of the source whose records aren't all written yet. With more, every second one is forgotten: of a pipeline that is hours
/// behind it is known to the minute how old its data are.
const OPEN: usize = 128;

/// Offset at which reading goes on, or where a topic ends, of each partition.
pub type Ends = BTreeMap<Partition, Offset>;

/// Freshness of a pipeline's tables.
#[derive(Debug, Default)]
pub struct Freshness {
    data_at: Option<i64>,
    written: Ends,
    /// Times, and where the topic ended then.
    open: VecDeque<(i64, Ends)>,
}

impl Freshness {
    /// A run begins, whose tables have what is before these offsets.
    pub fn begin(&mut self, written: Ends) {
        self.written = written;
        self.open.clear();
    }

    /// The source ended here at this time, in milliseconds since 1970-01-01T00:00:00 UTC.
    pub fn source_has(&mut self, at: i64, ends: Ends) {
        self.open.push_back((at, ends));
        if self.open.len() > OPEN {
            let mut kept = false;
            self.open.retain(|_| {
                kept = !kept;
                kept
            });
        }
        self.advance();
    }

    /// The tables have what is before these offsets.
    pub fn has_written(&mut self, written: Ends) {
        self.written = written;
        self.advance();
    }

    /// The time at which the source had no more than the tables have.
    pub fn data_at(&self) -> Option<i64> {
        self.data_at
    }

    /// The offsets before which the tables have everything.
    pub fn written(&self) -> &Ends {
        &self.written
    }

    fn advance(&mut self) {
        while let Some((at, ends)) = self.open.front() {
            let has = |(partition, end): (&Partition, &Offset)| {
                self.written.get(partition).is_some_and(|to| to >= end) || end.0 <= 0
            };
            if !ends.iter().all(has) {
                return;
            }
            // Somebody may have set the clock back.
            self.data_at = Some(*at);
            self.open.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(ends: &[i64]) -> Ends {
        let ends = ends.iter().enumerate();
        ends.map(|(partition, end)| (Partition(i32::try_from(partition).unwrap()), Offset(*end))).collect()
    }

    #[test]
    fn data_are_of_the_last_time_at_which_the_source_had_no_more_than_was_written() {
        let mut fresh = Freshness::default();
        fresh.begin(ends(&[10]));
        assert_eq!(fresh.data_at(), None);
        fresh.source_has(1, ends(&[10, 0]));
        assert_eq!(fresh.data_at(), Some(1), "an empty partition needs nothing");
        fresh.source_has(2, ends(&[20, 5]));
        fresh.source_has(3, ends(&[30, 5]));
        fresh.has_written(ends(&[25, 4]));
        assert_eq!(fresh.data_at(), Some(1), "a partition is behind");
        fresh.has_written(ends(&[25, 5]));
        assert_eq!(fresh.data_at(), Some(2));
        // What a new run reads again isn't written until it is.
        fresh.begin(ends(&[20, 5]));
        fresh.source_has(4, ends(&[30, 5]));
        assert_eq!(fresh.data_at(), Some(2));
        fresh.has_written(ends(&[30, 5]));
        assert_eq!(fresh.data_at(), Some(4));
    }

    proptest! {
        #[test]
        fn data_are_never_younger_than_what_is_written(steps in prop::collection::vec((any::<bool>(), 0i64..8), 1..400)) {
            let (mut fresh, mut end, mut written) = (Freshness::default(), 0, 0);
            let mut had = vec![(0i64, 0i64)];
            for (at, (grows, by)) in (1..).zip(steps) {
                if grows {
                    end += by;
                    had.push((at, end));
                    fresh.source_has(at, ends(&[end]));
                } else {
                    written = end.min(written + by);
                    fresh.has_written(ends(&[written]));
                }
                if let Some(data_at) = fresh.data_at() {
                    prop_assert!(had.iter().find(|(time, _)| *time == data_at).unwrap().1 <= written);
                }
                prop_assert!(fresh.open.len() <= OPEN);
            }
        }
    }
}
