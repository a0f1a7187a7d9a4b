//! How long an operator that is at fault is left alone.
//!
//! ```text
//! runs ──it is at fault──▶ disabled ──after a while, or with another operator──▶ runs from the checkpoint
//! ```
//!
//! What made it fail may be gone by then: memory that it leaked, a server's odd hour. If it isn't, each try costs the host a batch
//! of failing calls, so the waits grow for as long as no record is got past.

use std::time::Duration;

use crate::interval::Intervals;

/// The first wait. Shorter: an operator that fails at once takes a core for itself. Longer: one that trips now and then falls
/// behind.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait. Shorter: an operator that spins takes more than a few percent of a core for ever. Longer: what mended itself
/// is noticed that much later.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The times that one pipeline's operator was disabled.
#[derive(Debug, Default)]
pub struct Disablings {
    last: Option<(Intervals, Duration)>,
}

impl Disablings {
    /// How long to wait, the operator having failed once more where the checkpoint covers this: twice as long as the last time if
    /// that was at the same place, else as long as at first.
    pub fn wait(&mut self, consumed: &Intervals) -> Duration {
        let wait = match &self.last {
            Some((place, wait)) if place == consumed => (*wait * 2).min(LONGEST_WAIT),
            _ => FIRST_WAIT,
        };
        self.last = Some((consumed.clone(), wait));
        wait
    }

    /// Another operator is there, with which nothing has failed yet.
    pub fn forget(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interval::{Interval, Offset, Partition};

    fn at(end: i64) -> Intervals {
        let mut intervals = Intervals::default();
        intervals.extend(Partition(0), Interval::new(Offset(0), Offset(end)).unwrap()).unwrap();
        intervals
    }

    fn waits(disablings: &mut Disablings, places: &[i64]) -> Vec<u64> {
        places.iter().map(|place| disablings.wait(&at(*place)).as_secs()).collect()
    }

    #[test]
    fn at_one_place_the_waits_double_up_to_the_longest() {
        assert_eq!(waits(&mut Disablings::default(), &[7; 9]), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn an_operator_that_gets_further_waits_as_at_first() {
        assert_eq!(waits(&mut Disablings::default(), &[7, 7, 7, 8, 8, 9]), [1, 2, 4, 1, 2, 1]);
    }

    #[test]
    fn another_operator_waits_as_at_first() {
        let mut disablings = Disablings::default();
        waits(&mut disablings, &[7, 7, 7]);
        disablings.forget();
        assert_eq!(waits(&mut disablings, &[7]), [1]);
    }
}
