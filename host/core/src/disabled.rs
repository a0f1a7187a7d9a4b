//! Waits of an operator that is at fault: how long it is disabled before it runs again.
//!
//! ```text
//! runs ──it is at fault──▶ disabled ──after a while, or with another operator──▶ runs from the checkpoint
//! ```
//!
//! The cause may be gone after a wait: memory that the operator leaked, a server's odd hour. If it isn't, each try costs the host
//! a batch of failing calls, so the waits grow for as long as the checkpoint doesn't advance.

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
    /// Returns the next wait after the operator failed with the checkpoint at this place: twice the last wait, up to the longest,
    /// if the last failure was at the same place; otherwise the first wait. A place that isn't known counts as the one before.
    pub fn wait(&mut self, consumed: Option<&Intervals>) -> Duration {
        let (place, wait) = match &self.last {
            Some((place, wait)) if consumed.is_none_or(|consumed| consumed == place) => {
                (place.clone(), (*wait * 2).min(LONGEST_WAIT))
            }
            _ => (consumed.cloned().unwrap_or_default(), FIRST_WAIT),
        };
        self.last = Some((place, wait));
        wait
    }

    /// Forgets the failures so far, because the pipeline now has another operator.
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
        places.iter().map(|place| disablings.wait(Some(&at(*place))).as_secs()).collect()
    }

    #[test]
    fn at_one_place_the_waits_double_up_to_the_longest() {
        assert_eq!(waits(&mut Disablings::default(), &[7; 9]), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_place_that_is_not_known_counts_as_the_one_before() {
        let mut disablings = Disablings::default();
        let places = [Some(7), None, Some(7), None, Some(8), None];
        let waits = places.map(|place| disablings.wait(place.map(at).as_ref()).as_secs());
        assert_eq!(waits, [1, 2, 4, 8, 1, 2]);
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
