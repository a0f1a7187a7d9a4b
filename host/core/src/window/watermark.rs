//! Watermark: how far time has come, judged by the rows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::options::micros;
use crate::interval::Partition;

/// Durable part of a watermark.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTimes {
    /// The greatest time of each partition, in microseconds.
    pub greatest: BTreeMap<Partition, i64>,
    /// Position of the watermark. It can be ahead of the position that the greatest times give, since idle partitions don't hold
    /// it back.
    pub watermark: Option<i64>,
}

/// The moment up to which rows are thought complete: the least over partitions of the greatest time seen, less
/// `lateness`. It never goes back.
///
/// A partition of which nothing was seen yet holds it where it is. One that had nothing to read for `idle_after` doesn't:
/// it is left out until its next row. Where all are idle, the greatest of their times counts.
#[derive(Debug, Clone)]
pub struct Watermark {
    lateness: i64,
    idle_after: Duration,
    partitions: BTreeMap<Partition, Heard>,
    passed: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    greatest: Option<i64>,
    quiet: Option<Quiet>,
}

/// Time span during which the host saw that the partition had nothing to read.
#[derive(Debug, Clone, Copy)]
struct Quiet {
    since: Duration,
    until: Duration,
}

impl Watermark {
    /// A watermark that has passed nothing.
    pub fn new(lateness: Duration, idle_after: Duration) -> Watermark {
        Watermark { lateness: micros(lateness), idle_after, partitions: BTreeMap::new(), passed: None }
    }

    /// Goes on from where another one was: after a restart, or when another operator takes over.
    pub fn resume(&mut self, times: &EventTimes) {
        for (partition, time) in &times.greatest {
            self.see(*partition, *time);
        }
        self.passed = self.passed.max(times.watermark);
    }

    /// Returns the part of the watermark that a later run needs to go on from here.
    pub fn times(&self) -> EventTimes {
        let greatest = self.partitions.iter().filter_map(|(partition, heard)| Some((*partition, heard.greatest?)));
        EventTimes { greatest: greatest.collect(), watermark: self.passed }
    }

    /// Adds a partition. It holds the watermark back until a row of it is seen or it counts as idle.
    pub fn expect(&mut self, partition: Partition) {
        self.partitions.entry(partition).or_default();
    }

    /// Notes that a row of this time was read.
    pub fn see(&mut self, partition: Partition, time: i64) {
        let heard = self.partitions.entry(partition).or_default();
        heard.greatest = heard.greatest.max(Some(time));
        heard.quiet = None;
    }

    /// Notes that the partition had nothing to read at `now`, which the host counts from any fixed moment.
    pub fn at_end(&mut self, partition: Partition, now: Duration) {
        let quiet = &mut self.partitions.entry(partition).or_default().quiet;
        let since = quiet.map_or(now, |quiet| quiet.since);
        *quiet = Some(Quiet { since, until: now });
    }

    /// Notes that the partition has something to read: it isn't idle, however long no row of it was seen.
    pub fn behind(&mut self, partition: Partition) {
        self.partitions.entry(partition).or_default().quiet = None;
    }

    /// Notes that nobody knows which partitions have something to read: none counts as idle.
    pub fn unknown(&mut self) {
        self.partitions.values_mut().for_each(|heard| heard.quiet = None);
    }

    /// Moves the watermark according to the rows that were seen since the last call, and returns its position.
    pub fn advance(&mut self) -> Option<i64> {
        let active = self.partitions.values().filter(|heard| !self.is_idle(heard)).map(|heard| heard.greatest);
        let greatest = match active.min() {
            // One of which nothing was seen makes the least unknown.
            Some(least) => least,
            None => self.partitions.values().filter_map(|heard| heard.greatest).max(),
        };
        self.passed = self.passed.max(greatest.map(|time| time.saturating_sub(self.lateness)));
        self.passed
    }

    /// Returns the position of the watermark.
    pub fn passed(&self) -> Option<i64> {
        self.passed
    }

    /// The moment by which rows of this partition are judged: its own greatest time less `lateness`, or the watermark
    /// where that is ahead because the partition was idle.
    pub fn of(&self, partition: Partition) -> Option<i64> {
        let greatest = self.partitions.get(&partition).and_then(|heard| heard.greatest);
        greatest.map(|time| time.saturating_sub(self.lateness)).max(self.passed)
    }

    fn is_idle(&self, heard: &Heard) -> bool {
        heard.quiet.is_some_and(|quiet| quiet.until.saturating_sub(quiet.since) >= self.idle_after)
    }
}
