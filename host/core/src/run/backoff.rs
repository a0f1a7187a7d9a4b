//! The waits before a server is asked again.

use std::time::Duration;

use fastrand::Rng;

/// The first wait. Shorter: a server that restarts is hammered. Longer: a hiccup is seen on the board.
const FIRST: Duration = Duration::from_millis(100);
/// The longest wait. Longer: rows come that much later after the server is back.
const LONGEST: Duration = Duration::from_secs(2);
/// The share of a wait that is left to chance, so that a hundred pipelines don't come back to a server in step.
const JITTER: f64 = 0.25;

/// Waits that double from try to try, each shorter by up to a quarter.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    tries: u32,
    chance: Rng,
}

impl Backoff {
    /// Waits before any try, with chance from this seed.
    pub fn new(seed: u64) -> Backoff {
        Backoff { next: FIRST, tries: 0, chance: Rng::with_seed(seed) }
    }

    /// The wait after one more failed try.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        wait.mul_f64(1.0 - JITTER * self.chance.f64())
    }

    /// The number of tries that have failed.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The server has answered: the next wait is a first one. Says whether any try had failed.
    pub fn answered(&mut self) -> bool {
        self.next = FIRST;
        std::mem::take(&mut self.tries) > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_double_to_the_longest_each_shorter_by_at_most_a_quarter(seed in any::<u64>(), answers in prop::collection::vec(any::<bool>(), 1..40)) {
            let (mut backoff, mut expected) = (Backoff::new(seed), FIRST);
            for (tries, answered) in answers.into_iter().enumerate() {
                let wait = backoff.wait();
                prop_assert!(wait <= expected && wait >= expected.mul_f64(1.0 - JITTER), "{tries}: {wait:?} of {expected:?}");
                expected = (expected * 2).min(LONGEST);
                if answered {
                    prop_assert!(backoff.answered() && !backoff.answered() && backoff.tries() == 0);
                    expected = FIRST;
                }
            }
        }
    }

    #[test]
    fn two_seeds_wait_differently() {
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            [(); 5].map(|()| backoff.wait())
        };
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1));
    }
}
