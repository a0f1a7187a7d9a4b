//! Timers: the end of each window.

use std::collections::BTreeSet;

/// Timers, each the end of an entry such as a window's group.
#[derive(Debug, Clone)]
pub struct Timers<T> {
    ends: BTreeSet<(i64, T)>,
}

impl<T> Default for Timers<T> {
    fn default() -> Timers<T> {
        Timers { ends: BTreeSet::new() }
    }
}

impl<T: Ord> Timers<T> {
    /// Sets a timer for the end of `what`. Setting it twice has no further effect.
    pub fn set(&mut self, end: i64, what: T) {
        self.ends.insert((end, what));
    }

    /// Removes this timer.
    pub fn cancel(&mut self, end: i64, what: T) {
        self.ends.remove(&(end, what));
    }

    /// Returns true if a timer has ended by this moment.
    pub fn is_due(&self, watermark: i64) -> bool {
        self.ends.first().is_some_and(|(end, _)| *end <= watermark)
    }

    /// Iterates over the entries whose timer has ended by this moment, the earliest first.
    pub fn due(&self, watermark: i64) -> impl Iterator<Item = &T> {
        self.ends.iter().take_while(move |(end, _)| *end <= watermark).map(|(_, what)| what)
    }
}
