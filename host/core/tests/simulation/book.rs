//! The auditor's book: what must come of the records that the host has consumed, as a plain list tells it.
//!
//! A copy of it goes with each commit, and a crash takes the host back to that copy: so it has the durable order of consumption,
//! which is what decides about late records. Nothing of the host's code for windows is used. What it takes from the host is where
//! the watermark was when a record came, and that only counts where partitions may be idle; `audit.rs` holds the watermark to
//! its own rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sluice_core::chain::Join;
use sluice_core::window::{Late, Window, WindowOptions};
use sluice_core::{Offset, Partition};

use crate::dimension;
use crate::operator::Version;
use crate::rows::{Group, Row, Span};
use crate::shape::{Pipeline, Shape};
use crate::world::{REFUSED, Record, UNFIT, World};

/// Records that the host has consumed, and what must come of them.
#[derive(Debug, Clone)]
pub struct Book {
    pipeline: Pipeline,
    windows: Option<WindowOptions>,
    /// The letters of records that were left out: whether there must be one, or may be.
    pub letters: BTreeMap<(usize, usize), bool>,
    /// Number of records consumed of each partition.
    pub consumed: Vec<usize>,
    /// The partitions that it is of, where hosts have partitions of their own.
    pub partitions: Vec<usize>,
    /// The greatest time of each partition.
    greatest: Vec<Option<i64>>,
    /// The value of each record, once for each group that it counts in.
    counted: Vec<(Group, i64)>,
    /// Moment at which a flush had a group's last value, or none if no flush has had it yet; for groups that live for a time only.
    touched: BTreeMap<Group, Option<i64>>,
    /// Number of values that are counted no more, as their groups began anew.
    forgotten: usize,
    /// Records that came after the end of one of their windows.
    pub late: usize,
}

/// Things that the host knew as a record came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Then {
    /// The watermark had passed this moment.
    pub passed: Option<i64>,
    /// The calendar's time.
    pub now: i64,
}

/// Fate of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The record counts; or it is late, and nothing is said of it.
    Passes,
    /// The record is at fault.
    IsLeftOut,
    /// The row is for the table's server to refuse, unless another comes in its place before the server is asked.
    Refused,
}

impl Book {
    pub fn new(pipeline: Pipeline, partitions: usize) -> Book {
        let (consumed, greatest) = (vec![0; partitions], vec![None; partitions]);
        let (windows, letters) = (pipeline.shape.windows(), BTreeMap::new());
        Book {
            pipeline,
            windows,
            letters,
            consumed,
            partitions: (0..partitions).collect(),
            greatest,
            counted: Vec::new(),
            touched: BTreeMap::new(),
            forgotten: 0,
            late: 0,
        }
    }

    /// Returns the book of a host that begins in the midst of these partitions, where rows are of single records: the hosts that read what
    /// comes before have written of it what any host would write.
    pub fn of_others(world: &World, positions: &BTreeMap<Partition, Offset>) -> Book {
        let mut book = Book::new(world.pipeline, world.topic.len());
        book.partitions.clear();
        for (partition, position) in positions {
            let partition = usize::try_from(partition.0).unwrap();
            book.partitions.push(partition);
            for record in &world.topic[partition][..usize::try_from(position.0).unwrap()] {
                book.take(partition, *record, Version::FIRST, Then::default());
            }
        }
        book
    }

    /// Takes the partition's next record, which is consumed.
    pub fn take(&mut self, partition: usize, record: Record, version: Version, then: Then) -> Fate {
        let offset = self.consumed[partition];
        self.consumed[partition] += 1;
        self.come((partition, offset), record, version, then)
    }

    /// Notes that a flush has all that was counted.
    pub fn flushed(&mut self, now: i64) {
        self.touched.values_mut().for_each(|touched| *touched = touched.or(Some(now)));
    }

    /// Says whether the group began so long ago that its state may be gone.
    pub fn is_expired(&self, group: Group, now: i64) -> bool {
        let ttl = self.pipeline.ttl.unwrap_or(i64::MAX);
        self.touched.get(&group).copied().flatten().is_some_and(|touched| touched < now.saturating_sub(ttl))
    }

    /// Counts a value in these groups.
    fn count(&mut self, groups: impl IntoIterator<Item = Group>, value: i64, now: i64) {
        for group in groups {
            if self.is_expired(group, now) {
                let before = self.counted.len();
                self.counted.retain(|(counted, _)| *counted != group);
                self.forgotten += before - self.counted.len();
            }
            if self.pipeline.ttl.is_some() {
                self.touched.insert(group, None);
            }
            self.counted.push((group, value));
        }
    }

    /// Takes a record again that was left out.
    pub fn take_again(&mut self, place: (usize, usize), record: Record, version: Version, then: Then) -> Fate {
        assert!(self.letters.contains_key(&place), "{place:?} was taken in, and comes again");
        self.come(place, record, version, then)
    }

    fn come(&mut self, place: (usize, usize), record: Record, version: Version, then: Then) -> Fate {
        let fate = self.fate(place.0, record, version, then);
        match fate {
            Fate::Passes => drop(self.letters.remove(&place)),
            Fate::IsLeftOut => drop(self.letters.insert(place, true)),
            Fate::Refused => drop(self.letters.insert(place, false)),
        }
        fate
    }

    fn fate(&mut self, partition: usize, record: Record, version: Version, then: Then) -> Fate {
        let Some(value) = record.value else { return Fate::IsLeftOut };
        match self.pipeline.join {
            Some(Join::Required) if dimension::name(record.key).is_none() => return Fate::IsLeftOut,
            Some(Join::Inner) if dimension::name(record.key).is_none() => return Fate::Passes,
            _ => {}
        }
        let Some(options) = self.windows else {
            return match self.pipeline.shape {
                Shape::Rows if value >= UNFIT => Fate::IsLeftOut,
                Shape::Rows if value == REFUSED && self.pipeline.has_refusals() => Fate::Refused,
                Shape::Sums if !version.takes(value) => Fate::IsLeftOut,
                _ => {
                    self.count([(record.key, None)], value, then.now);
                    Fate::Passes
                }
            };
        };
        let Some((time, spans)) = record.time.and_then(|time| Some((time, spans(options.window, time)?))) else {
            return Fate::IsLeftOut;
        };
        // A session could have ended without this record.
        let session = matches!(options.window, Window::Session { .. });
        let over = |span: &Span| if session { time + 1 } else { span.1 };
        let moment = self.moment(partition).max(then.passed);
        let is_past = |end: i64| moment.is_some_and(|moment| end <= moment);
        let late = usize::from(spans.iter().any(|span| is_past(over(span))));
        let counts: Vec<Span> = spans.into_iter().filter(|span| !is_past(over(span) + keep_for(options))).collect();
        if counts.is_empty() && options.late != Late::Drop {
            self.late += late;
            return Fate::IsLeftOut;
        }
        if !counts.is_empty() && !version.takes(value) {
            return Fate::IsLeftOut;
        }
        self.late += late;
        self.greatest[partition] = self.greatest[partition].max(Some(time));
        self.count(counts.into_iter().map(|span| (record.key, Some(span))), value, then.now);
        Fate::Passes
    }

    /// Returns the value of each key that was taken in last.
    pub fn latest(&self) -> BTreeMap<Group, i64> {
        self.counted.iter().copied().collect()
    }

    /// Each key and value, as often as it was taken in.
    pub fn all(&self) -> Vec<Row> {
        let mut all = self.counted.clone();
        all.sort_unstable();
        all
    }

    /// Each group that anything counts in, with its sum. Sessions are what is left of the spans that records open once those
    /// that share a moment are one.
    pub fn sums(&self) -> BTreeMap<Group, i64> {
        let session = self.windows.is_some_and(|options| matches!(options.window, Window::Session { .. }));
        let mut counted = self.counted.clone();
        counted.sort_unstable();
        let mut sums: Vec<(Group, i64)> = Vec::new();
        for (group, value) in counted {
            match sums.last_mut() {
                Some((last, sum)) if *last == group || session && is_joined(*last, group) => {
                    (*last, *sum) = ((group.0, joined(last.1, group.1)), *sum + value);
                }
                _ => sums.push((group, value)),
            }
        }
        sums.into_iter().collect()
    }

    /// Returns the number of values that were counted.
    pub fn values(&self) -> usize {
        self.forgotten + self.counted.len()
    }

    /// The groups that something was counted in since there were so many values; of sessions, the spans that records opened.
    pub fn changed_since(&self, values: usize) -> BTreeSet<Group> {
        self.counted[values.saturating_sub(self.forgotten)..].iter().map(|(group, _)| *group).collect()
    }

    /// Returns the moment by which this partition's records are judged if it is never idle.
    pub fn moment(&self, partition: usize) -> Option<i64> {
        let lateness = self.windows.map_or(0, |options| micros(options.lateness));
        self.greatest[partition].map(|time| time - lateness)
    }
}

/// Returns the time for which a window takes late records after its end.
pub fn keep_for(options: WindowOptions) -> i64 {
    match options.late {
        Late::Update { keep_for } => micros(keep_for),
        Late::Drop | Late::Reject => 0,
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap()
}

/// The windows that a moment is in, found by looking at each moment that one could begin at. None if one is beyond what a
/// timestamp can say.
fn spans(window: Window, time: i64) -> Option<Vec<Span>> {
    let (size, every) = match window {
        Window::Tumbling { size } => (size, size),
        Window::Hopping { size, every } => (size, every),
        Window::Session { gap } => return Some(vec![(time, time.checked_add(gap.micros())?)]),
    };
    let (size, every, time) = (i128::from(size.micros()), i128::from(every.micros()), i128::from(time));
    let starts = (time - size + 1..=time).filter(|start| start.rem_euclid(every) == 0);
    starts.map(|start| Some((i64::try_from(start).ok()?, i64::try_from(start + size).ok()?))).collect()
}

/// Says whether a span that begins no earlier is of the same session.
fn is_joined(session: Group, opened: Group) -> bool {
    session.0 == opened.0 && matches!((session.1, opened.1), (Some(session), Some(opened)) if opened.0 < session.1)
}

fn joined(session: Option<Span>, opened: Option<Span>) -> Option<Span> {
    Some((session?.0, opened?.1))
}
