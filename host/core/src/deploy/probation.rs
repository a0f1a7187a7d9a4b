//! Trial of new operators: they must show that they are no worse than the operators before.

use std::time::Duration;

/// Least number of rejected records that can fail a trial. Fewer say nothing: the first records of a trial may happen to be bad
/// ones.
const MIN_REJECTED: u64 = 10;

/// Factor by which the share of rejected records must exceed the share before. Smaller: a topic whose records get somewhat worse
/// rolls good operators back.
const TIMES_BEFORE: f64 = 2.0;

/// Least difference between the two shares of rejections, as a part of all records. It keeps a few rejections in a clean topic
/// from counting as a multiple of nothing.
const ABOVE_BEFORE: f64 = 0.02;

/// Least number of records from which the share of rejections of the operators before is known. Fewer say nothing.
const MIN_BEFORE: u64 = 100;

/// Share of rejections that fails a trial when too little is known of the operators before, as in a swap right after a start.
/// With a smaller share, records that are bad in themselves could fail it.
const UNKNOWN_BEFORE: f64 = 0.5;

/// Bounds of a trial: it lasts until either is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Longest time of a trial. Shorter: faults that need some time are found too late. Longer: checkpoints are made later, and a
    /// crash replays more.
    pub time: Duration,
    /// Most records of a trial. Fewer: rare faults are found too late. More: more groups are held in memory, and a roll-back
    /// replays more.
    pub rows: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { time: Duration::from_secs(60), rows: 100_000 }
    }
}

impl Bounds {
    /// Bounds for no trial at all.
    pub const NONE: Bounds = Bounds { time: Duration::ZERO, rows: 0 };

    /// Returns true if there is no trial.
    pub fn is_none(self) -> bool {
        self.time.is_zero() || self.rows == 0
    }
}

/// Number of records, and how many of them were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Records taken in, including those that were left out.
    pub records: u64,
    /// Records left out because they are at fault.
    pub rejected: u64,
}

impl Rate {
    /// Adds records and rejections.
    pub fn add(&mut self, records: usize, rejected: usize) {
        self.records += records as u64;
        self.rejected += rejected as u64;
    }

    fn share(self) -> f64 {
        if self.records == 0 { 0.0 } else { self.rejected as f64 / self.records as f64 }
    }
}

/// A trial of operators that run.
#[derive(Debug, Clone)]
pub struct Probation {
    bounds: Bounds,
    before: Rate,
    seen: Rate,
}

impl Probation {
    /// Begins the trial of operators that replace others with the rate of rejections `before`.
    pub fn new(bounds: Bounds, before: Rate) -> Probation {
        Probation { bounds, before, seen: Rate::default() }
    }

    /// Counts records that the operators on trial took in.
    pub fn count(&mut self, records: usize, rejected: usize) {
        self.seen.add(records, rejected);
    }

    /// Returns the records and rejections of the operators on trial so far.
    pub fn seen(&self) -> Rate {
        self.seen
    }

    /// Returns true if the operators on trial took in at least one record that they didn't leave out.
    pub fn has_taken(&self) -> bool {
        self.seen.records > self.seen.rejected
    }

    /// Returns the records and rejections of the operators before. A newer version that takes this trial over is compared with
    /// them too.
    pub fn before(&self) -> Rate {
        self.before
    }

    /// Returns the reason why the trial has failed by its rejections; none if it has not.
    pub fn failed(&self) -> Option<String> {
        let (seen, before) = (self.seen.share(), self.before.share());
        let too_much = if self.before.records < MIN_BEFORE {
            UNKNOWN_BEFORE
        } else {
            (before * TIMES_BEFORE).max(before + ABOVE_BEFORE)
        };
        (self.seen.rejected >= MIN_REJECTED && seen > too_much).then(|| {
            format!(
                "it rejects {:.1} % of the records ({} of {}), the one before {:.1} %",
                seen * 100.0,
                self.seen.rejected,
                self.seen.records,
                before * 100.0
            )
        })
    }

    /// Returns true if the trial, begun `elapsed` ago, has reached one of its bounds.
    pub fn is_over(&self, elapsed: Duration) -> bool {
        elapsed >= self.bounds.time || self.seen.records >= self.bounds.rows
    }

    /// Returns the longest time that the trial may still last.
    pub fn left(&self, elapsed: Duration) -> Duration {
        self.bounds.time.saturating_sub(elapsed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trial(before: (u64, u64), seen: (u64, u64)) -> Probation {
        let rate = |(records, rejected)| Rate { records, rejected };
        Probation { bounds: Bounds::default(), before: rate(before), seen: rate(seen) }
    }

    proptest! {
        #[test]
        fn rejecting_no_more_than_before_never_fails(records in 1u64..1_000_000, rejected in 0u64..1_000_000, less in 0u64..1_000) {
            let rejected = rejected.min(records);
            let before = (records.max(MIN_BEFORE), rejected);
            prop_assert_eq!(trial(before, (records.max(MIN_BEFORE), rejected.saturating_sub(less))).failed(), None);
        }

        #[test]
        fn rejecting_everything_fails_if_those_before_took_at_least_half(taken in 50u64..=100, records in MIN_REJECTED..1_000_000) {
            prop_assert!(trial((100, 100 - taken), (records + 1, records + 1)).failed().is_some() || taken == 50);
        }

        #[test]
        fn a_trial_is_over_once_either_bound_is_reached(seconds in 0u64..200, records in 0u64..200_000) {
            let over = trial((0, 0), (records, 0)).is_over(Duration::from_secs(seconds));
            prop_assert_eq!(over, seconds >= 60 || records >= 100_000);
        }
    }

    #[test]
    fn a_handful_of_rejections_says_nothing() {
        assert_eq!(trial((100_000, 0), (9, 9)).failed(), None);
        assert!(trial((100_000, 0), (10, 10)).failed().is_some());
        assert_eq!(trial((100_000, 0), (1_000, 15)).failed(), None, "less than 2 %");
    }

    #[test]
    fn where_nothing_is_known_of_those_before_most_records_must_be_rejected() {
        assert_eq!(trial((0, 0), (1_000, 400)).failed(), None);
        let reason = trial((0, 0), (1_000, 600)).failed().unwrap_or_default();
        assert_eq!(reason, "it rejects 60.0 % of the records (600 of 1000), the one before 0.0 %");
    }
}
