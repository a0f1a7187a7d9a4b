//! Rows that wait for the next flush.

use std::time::Duration;

use super::made::Made;

/// Number of flushes' worth of rows that may wait while a flush is under way. Fewer: the lane idles when the sink is only a little slower.
/// More: memory (each row is there several times while it is written), and a longer tail at the end.
const FLUSHES_AHEAD: usize = 2;

/// The most bytes that may wait. Fewer: rows with large texts flush in small pieces. More: memory.
const MAX_PENDING_BYTES: usize = 32 << 20;

/// The most groups that change between two flushes. After a crash a flush is counted and written again from its beginning: a
/// table takes so many rows in about a second. Fewer: groups that change again and again are written more often. More: after a
/// crash, and while a backlog is read, a board waits longer for what is new.
pub const MAX_CHANGED_GROUPS: usize = 1 << 17;

/// Conditions under which a flush is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushPolicy {
    /// Flush when this many rows (or changed groups) wait.
    pub rows: usize,
    /// Flush when this long has passed since the last flush with rows began. The first row doesn't wait.
    pub interval: Duration,
}

/// The rows of a chain without a fold, since the last flush.
pub struct Pending {
    policy: FlushPolicy,
    batches: Vec<Made>,
    rows: usize,
    bytes: usize,
    last_flush: Option<Duration>,
}

impl Pending {
    pub fn new(policy: FlushPolicy) -> Pending {
        Pending { policy, batches: Vec::new(), rows: 0, bytes: 0, last_flush: None }
    }

    pub fn push(&mut self, made: Made) {
        self.rows += made.rows.rows;
        self.bytes += made.memory();
        self.batches.push(made);
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Says whether no more may be added before a flush.
    pub fn is_full(&self) -> bool {
        self.rows >= self.policy.rows.saturating_mul(FLUSHES_AHEAD) || self.bytes >= MAX_PENDING_BYTES
    }

    /// Says whether a flush is due at this moment, if `waiting` rows or groups wait.
    pub fn is_due(&self, waiting: usize, now: Duration) -> bool {
        waiting >= self.policy.rows || self.bytes >= MAX_PENDING_BYTES || self.until_due(now).is_zero()
    }

    /// Returns the time until the interval is over.
    pub fn until_due(&self, now: Duration) -> Duration {
        match self.last_flush {
            None => Duration::ZERO,
            Some(last) => (last + self.policy.interval).saturating_sub(now),
        }
    }

    /// Takes all rows for a flush that begins now, with `waiting` rows or groups. A flush without any begins no interval, so that nobody
    /// waits for it.
    pub fn take(&mut self, waiting: usize, now: Duration) -> Vec<Made> {
        if waiting > 0 {
            self.last_flush = Some(now);
        }
        self.rows = 0;
        self.bytes = 0;
        std::mem::take(&mut self.batches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Rows;
    use std::sync::Arc;

    fn output(rows: usize) -> Made {
        let column = Arc::new(arrow_array::Int64Array::from(vec![0; rows]));
        Made::of_groups(Rows { rows, columns: vec![column] }, 1)
    }

    #[test]
    fn the_first_row_flushes_at_once_and_later_ones_by_rows_or_interval() {
        let mut pending = Pending::new(FlushPolicy { rows: 10, interval: Duration::from_secs(2) });
        let start = Duration::ZERO;
        assert!(pending.take(0, start).is_empty());
        pending.push(output(1));
        assert!(pending.is_due(1, start), "a flush without rows keeps nobody waiting");
        assert_eq!(pending.take(1, start).len(), 1);
        pending.push(output(9));
        assert!(!pending.is_due(9, start + Duration::from_millis(1999)));
        assert!(pending.is_due(9, start + Duration::from_secs(2)));
        pending.push(output(1));
        assert!(pending.is_due(10, start));
    }

    #[test]
    fn what_waits_is_bounded_by_rows() {
        let mut pending = Pending::new(FlushPolicy { rows: 10, interval: Duration::from_secs(2) });
        pending.push(output(19));
        assert!(!pending.is_full());
        pending.push(output(1));
        assert!(pending.is_full());
    }

    #[test]
    fn what_waits_is_bounded_by_bytes_too_and_a_flush_takes_all() {
        let policy = FlushPolicy { rows: usize::MAX, interval: Duration::from_secs(2) };
        let mut pending = Pending::new(policy);
        pending.take(1, Duration::ZERO);
        let half = MAX_PENDING_BYTES / size_of::<i64>() / 2;
        pending.push(output(half - 1_000));
        assert!(!pending.is_full() && !pending.is_due(1, Duration::ZERO));
        pending.push(output(half + 1_000));
        assert!(pending.is_full() && pending.is_due(1, Duration::ZERO));
        assert_eq!(pending.rows(), 2 * half);
        assert_eq!(pending.take(1, Duration::ZERO).len(), 2);
        assert!(!pending.is_full() && !pending.is_due(1, Duration::ZERO) && pending.rows() == 0);
    }

    #[test]
    fn the_interval_counts_from_the_last_flush_with_rows() {
        let mut pending = Pending::new(FlushPolicy { rows: 10, interval: Duration::from_secs(2) });
        let seconds = Duration::from_secs;
        assert_eq!(pending.until_due(seconds(5)), Duration::ZERO, "the first row doesn't wait");
        pending.take(1, seconds(5));
        pending.take(0, seconds(6));
        assert_eq!([5, 6, 7, 9].map(|now| pending.until_due(seconds(now)).as_secs()), [2, 1, 0, 0]);
    }
}
