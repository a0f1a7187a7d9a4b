//! Positions say where each partition is read: the pure part of the source.

use std::collections::BTreeMap;

use sluice_core::{Interval, Offset, Partition};

/// The next offset of each partition that is read, by its number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Positions {
    next: Vec<Option<Offset>>,
}

impl Positions {
    /// Adds partitions; answers with one that is known already or can't be one, and then adds none.
    pub fn add(&mut self, starts: &BTreeMap<Partition, Offset>) -> Result<(), Partition> {
        if let Some(known) =
            starts.keys().find(|partition| index(**partition).is_none() || self.of(**partition).is_some())
        {
            return Err(*known);
        }
        for (partition, start) in starts {
            let Some(index) = index(*partition) else { continue };
            if self.next.len() <= index {
                self.next.resize(index + 1, None);
            }
            self.next[index] = Some(*start);
        }
        Ok(())
    }

    /// The next offset of the partition.
    pub fn of(&self, partition: Partition) -> Option<Offset> {
        self.next.get(index(partition)?).copied()?
    }

    /// Passes a record, and the offsets before it that hold none. Says false, and changes nothing, if the record is below
    /// the position: it was read before.
    pub fn pass(&mut self, partition: Partition, offset: Offset) -> bool {
        match self.next_of(partition) {
            Some(next) if *next <= offset => {
                *next = offset.next();
                true
            }
            _ => false,
        }
    }

    /// Notes that the partition has no further record before `end`.
    pub fn reach(&mut self, partition: Partition, end: Offset) {
        if let Some(next) = self.next_of(partition) {
            *next = end.max(*next);
        }
    }

    fn next_of(&mut self, partition: Partition) -> Option<&mut Offset> {
        self.next.get_mut(index(partition)?)?.as_mut()
    }

    /// The intervals that were passed since the positions were `before`: one for each partition that went on.
    pub fn since(&self, before: &Positions) -> Vec<(Partition, Interval)> {
        let pairs = (0..).zip(before.next.iter().zip(&self.next));
        let went_on = pairs.filter_map(|(number, (start, end))| {
            let interval = Interval::new((*start)?, (*end)?).filter(|interval| !interval.is_empty())?;
            Some((Partition(number), interval))
        });
        went_on.collect()
    }
}

fn index(partition: Partition) -> Option<usize> {
    usize::try_from(partition.0).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_core::interval::Intervals;

    use super::*;

    fn at(starts: &[i64]) -> Positions {
        let mut positions = Positions::default();
        let starts = (0..).zip(starts).map(|(number, start)| (Partition(number), Offset(*start)));
        positions.add(&starts.collect()).unwrap();
        positions
    }

    proptest! {
        /// Records with holes, repeats and ends of partitions, cut into batches anywhere.
        #[test]
        fn intervals_of_successive_batches_always_join(
            events in prop::collection::vec((0_i32..3, 0_i64..200, any::<bool>(), prop::bool::weighted(0.2)), 0..200),
        ) {
            let mut positions = at(&[0, 50, 100]);
            let mut before = positions.clone();
            let mut consumed = Intervals::default();
            let mut passed = Vec::new();
            for (partition, offset, is_end, cut) in events {
                let (partition, offset) = (Partition(partition), Offset(offset));
                if is_end {
                    positions.reach(partition, offset);
                } else if positions.pass(partition, offset) {
                    passed.push((partition, offset));
                }
                if cut {
                    for (partition, interval) in positions.since(&before) {
                        prop_assert!(consumed.extend(partition, interval).is_ok());
                    }
                    before = positions.clone();
                }
            }
            for pair in passed.iter().enumerate().flat_map(|(i, a)| passed[i + 1..].iter().map(move |b| (a, b))) {
                prop_assert!(pair.0.0 != pair.1.0 || pair.0.1 < pair.1.1);
            }
        }
    }

    #[test]
    fn a_record_below_the_position_is_refused_and_one_above_covers_the_hole() {
        let mut positions = at(&[10]);
        let before = positions.clone();
        assert!(!positions.pass(Partition(0), Offset(9)));
        assert!(positions.since(&before).is_empty());
        assert!(positions.pass(Partition(0), Offset(12)));
        let interval = Interval::new(Offset(10), Offset(13)).unwrap();
        assert_eq!(positions.since(&before), [(Partition(0), interval)]);
    }

    #[test]
    fn records_of_unknown_partitions_are_refused() {
        let mut positions = at(&[0]);
        assert!(!positions.pass(Partition(1), Offset(0)));
        assert!(!positions.pass(Partition(-1), Offset(0)));
    }

    #[test]
    fn a_partition_is_added_once_and_those_between_are_not_read() {
        let mut positions = at(&[0]);
        let start = |number| BTreeMap::from([(Partition(number), Offset(0))]);
        assert_eq!(positions.add(&start(0)), Err(Partition(0)));
        assert_eq!(positions.add(&start(-1)), Err(Partition(-1)));
        assert_eq!(positions.add(&start(2)), Ok(()));
        assert!(!positions.pass(Partition(1), Offset(0)));
        assert!(positions.pass(Partition(2), Offset(0)));
    }
}
