//! Which windows end when.

use std::collections::BTreeSet;

/// Ends of windows, each with what it is the end of.
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
    /// This ends then. Said again, it changes nothing.
    pub fn set(&mut self, end: i64, what: T) {
        self.ends.insert((end, what));
    }

    /// This no longer ends then.
    pub fn cancel(&mut self, end: i64, what: T) {
        self.ends.remove(&(end, what));
    }

    /// Whether anything has ended by this moment.
    pub fn is_due(&self, watermark: i64) -> bool {
        self.ends.first().is_some_and(|(end, _)| *end <= watermark)
    }

    /// What has ended by this moment, the earliest first.
    pub fn due(&self, watermark: i64) -> impl Iterator<Item = &T> {
        self.ends.iter().take_while(move |(end, _)| *end <= watermark).map(|(_, what)| what)
    }
}
