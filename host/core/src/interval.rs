//! Offsets are an algebra: half-open intervals of one partition that either fit on what was consumed, or are refused.
//!
//! | consumed | interval  | `extend`                                        |
//! |----------|-----------|-------------------------------------------------|
//! | none     | `[a, b)`  | accepted; consumed is now `[a, b)`              |
//! | `[s, a)` | `[a, b)`  | accepted; consumed is now `[s, b)`              |
//! | `[s, e)` | `[a, b)`, `a > e` | refused (`Gap`): records would be lost  |
//! | `[s, e)` | `[a, b)`, `a < e` | refused (`Overlap`): records would count twice |
//!
//! A partition that went to another host and came back is resumed further on, since what is between was consumed there:
//!
//! | consumed | resumed at | `resume`                                       |
//! |----------|------------|------------------------------------------------|
//! | none     | `a`        | accepted; consumed is now `[a, a)`             |
//! | `[s, a)` | `a`        | accepted; nothing changes                      |
//! | `[s, e)` | `a > e`    | accepted; consumed is now `[a, a)`             |
//! | `[s, e)` | `a < e`    | refused (`Overlap`): records would count twice |
//!
//! A refusal changes nothing. This is the only file that computes the offset after another one.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a topic's partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub i32);

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A record's place in its partition; 0 is the first that there ever was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl Offset {
    /// The place after this one.
    pub fn next(self) -> Offset {
        Offset(self.0.saturating_add(1))
    }

    /// The place `records` after this one.
    pub fn advanced(self, records: usize) -> Offset {
        Offset(self.0.saturating_add(i64::try_from(records).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The offsets `start..end` of one partition. Offsets in it need not all exist: compaction and transaction markers
/// leave holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(Offset, Offset)", into = "(Offset, Offset)")]
pub struct Interval {
    start: Offset,
    end: Offset,
}

impl Interval {
    /// The interval `start..end`, or none if it would end before it starts.
    pub fn new(start: Offset, end: Offset) -> Option<Interval> {
        (start <= end).then_some(Interval { start, end })
    }

    /// The first offset that is inside.
    pub fn start(self) -> Offset {
        self.start
    }

    /// The first offset that is past it: where reading goes on.
    pub fn end(self) -> Offset {
        self.end
    }

    /// Whether no offset is inside.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

impl From<Interval> for (Offset, Offset) {
    fn from(interval: Interval) -> (Offset, Offset) {
        (interval.start, interval.end)
    }
}

impl TryFrom<(Offset, Offset)> for Interval {
    type Error = String;

    fn try_from((start, end): (Offset, Offset)) -> Result<Interval, String> {
        Interval::new(start, end).ok_or_else(|| format!("an interval can't begin at {start} and end at {end}"))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// Why an interval was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Offsets between the consumed ones and the interval would never be read.
    #[error("partition {partition}: {interval} leaves a gap after {consumed}")]
    Gap {
        /// Of which partition.
        partition: Partition,
        /// What was consumed before.
        consumed: Interval,
        /// What was to be added.
        interval: Interval,
    },
    /// Offsets of the interval were consumed already.
    #[error("partition {partition}: {interval} overlaps the consumed {consumed}")]
    Overlap {
        /// Of which partition.
        partition: Partition,
        /// What was consumed before.
        consumed: Interval,
        /// What was to be added.
        interval: Interval,
    },
}

/// What was consumed: one interval for each partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Intervals {
    by_partition: BTreeMap<Partition, Interval>,
}

impl Intervals {
    /// Adds the interval at the end of its partition's, or refuses it and changes nothing.
    pub fn extend(&mut self, partition: Partition, interval: Interval) -> Result<(), Misfit> {
        let Some(consumed) = self.by_partition.get_mut(&partition) else {
            self.by_partition.insert(partition, interval);
            return Ok(());
        };
        match interval.start.cmp(&consumed.end) {
            std::cmp::Ordering::Equal => {
                consumed.end = interval.end;
                Ok(())
            }
            std::cmp::Ordering::Greater => Err(Misfit::Gap { partition, consumed: *consumed, interval }),
            std::cmp::Ordering::Less => Err(Misfit::Overlap { partition, consumed: *consumed, interval }),
        }
    }

    /// Reading this partition goes on here, further on than it was left if others read it meanwhile; or is refused and changes
    /// nothing.
    pub fn resume(&mut self, partition: Partition, at: Offset) -> Result<(), Misfit> {
        let interval = Interval { start: at, end: at };
        match self.by_partition.get(&partition) {
            Some(consumed) if consumed.end > at => Err(Misfit::Overlap { partition, consumed: *consumed, interval }),
            Some(consumed) if consumed.end == at => Ok(()),
            _ => {
                self.by_partition.insert(partition, interval);
                Ok(())
            }
        }
    }

    /// Where reading goes on in this partition, if any of it was consumed.
    pub fn end(&self, partition: Partition) -> Option<Offset> {
        self.by_partition.get(&partition).map(|interval| interval.end)
    }

    /// Where reading goes on in each partition.
    pub fn ends(&self) -> BTreeMap<Partition, Offset> {
        self.iter().map(|(partition, interval)| (partition, interval.end)).collect()
    }

    /// Each partition's consumed interval, by partition.
    pub fn iter(&self) -> impl Iterator<Item = (Partition, Interval)> + '_ {
        self.by_partition.iter().map(|(partition, interval)| (*partition, *interval))
    }

    /// Whether everything before these ends was consumed. A partition whose end is 0 needs no record.
    pub fn reaches(&self, ends: &BTreeMap<Partition, Offset>) -> bool {
        ends.iter().all(|(partition, end)| self.end(*partition).unwrap_or(Offset(0)) >= *end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn intervals_join_end_to_end_and_nothing_else_changes_what_was_consumed(
            bounds in prop::collection::vec((0i64..20, 0i64..20), 1..40),
        ) {
            let mut consumed = Intervals::default();
            for (start, end) in bounds {
                let Some(interval) = Interval::new(Offset(start), Offset(end)) else {
                    prop_assert!(start > end);
                    continue;
                };
                let before = consumed.clone();
                let fits = before.end(Partition(0)).is_none_or(|at| at == interval.start());
                let outcome = consumed.extend(Partition(0), interval);
                prop_assert_eq!(outcome.is_ok(), fits);
                if fits {
                    prop_assert_eq!(consumed.end(Partition(0)), Some(interval.end()));
                } else {
                    prop_assert_eq!(consumed.clone(), before);
                }
                prop_assert_eq!(consumed.end(Partition(1)), None);
            }
        }
    }

    proptest! {
        #[test]
        fn a_partition_that_came_back_goes_on_where_it_is_resumed_and_never_before_its_end(
            start in 0i64..20, length in 0i64..20, at in 0i64..60,
        ) {
            let mut consumed = Intervals::default();
            let interval = Interval::new(Offset(start), Offset(start + length)).unwrap();
            consumed.extend(Partition(0), interval).unwrap();
            let before = consumed.clone();
            let resumed = consumed.resume(Partition(0), Offset(at));
            prop_assert_eq!(resumed.is_ok(), at >= start + length);
            if resumed.is_ok() {
                prop_assert_eq!(consumed.end(Partition(0)), Some(Offset(at)));
            }
            if at <= start + length {
                prop_assert_eq!(consumed, before);
            }
        }
    }

    #[test]
    fn ends_are_reached_when_every_partition_is() {
        let ends = BTreeMap::from([(Partition(0), Offset(2)), (Partition(1), Offset(0))]);
        let mut consumed = Intervals::default();
        assert!(!consumed.reaches(&ends));
        let whole = Interval::new(Offset(0), Offset(2));
        consumed.extend(Partition(0), whole.unwrap()).unwrap();
        assert!(consumed.reaches(&ends));
    }

    #[test]
    fn an_interval_is_shown_with_its_bounds_and_is_empty_if_they_are_one() {
        for (start, end) in [(0, 0), (3, 3), (3, 7)] {
            let interval = Interval::new(Offset(start), Offset(end)).unwrap();
            assert_eq!((interval.to_string(), interval.is_empty()), (format!("[{start}, {end})"), start == end));
        }
    }
}
