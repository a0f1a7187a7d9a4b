//! Until when a share may be written on without asking the group again.

use std::time::Duration;

/// A term that begins anew with each confirmation. Times are of any clock that never goes back and goes on while the process
/// is stopped.
///
/// The group expels a member that it hasn't heard of for a session's timeout. So a member that was confirmed has its
/// partitions for at least that long after it *asked*, however long the answer took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    term: Duration,
    confirmed: Option<Duration>,
}

impl Lease {
    /// Not confirmed yet. Half of the session counts: the other half is for the write that follows.
    pub fn new(session: Duration) -> Lease {
        Lease { term: session / 2, confirmed: None }
    }

    /// The group confirmed what it was asked at this time.
    pub fn confirm(&mut self, asked: Duration) {
        self.confirmed = self.confirmed.max(Some(asked));
    }

    /// Whether it may be written on at this time.
    pub fn holds(&self, now: Duration) -> bool {
        self.confirmed.is_some_and(|asked| now < asked + self.term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_at_the_very_end_of_its_term() {
        let millis = Duration::from_millis;
        let mut lease = Lease::new(millis(200));
        assert!(!lease.holds(millis(0)));
        lease.confirm(millis(50));
        assert_eq!([50, 149, 150].map(|now| lease.holds(millis(now))), [true, true, false]);
    }
}
