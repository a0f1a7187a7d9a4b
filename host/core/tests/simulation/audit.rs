//! Laws that must hold, whatever happened.
//!
//! All is held against the auditor's book (see `book.rs`), exactly, with one exception. How long a partition was silent is no part of
//! a checkpoint: where windows go on without silent partitions, a host that crashed may find another record late than before,
//! and rows that it had written are then no longer those of its states. The same goes for a record that one version takes and another
//! doesn't: a host that crashed may read it again with the other. So in such worlds the table may have more rows than are expected at
//! the end, and a row that was closed may change over a crash; the states are as exact as everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use sluice_core::checkpoint::{Checkpoint, CheckpointStore};
use sluice_core::dead_letter::LetterId;
use sluice_core::fold::{decode_states, stored_version};
use sluice_core::window::{Emit, WindowOptions};
use sluice_core::{Kind, Partition, row};

use crate::book::{Book, keep_for};
use crate::operator::Version;
use crate::rows::{Group, Row, groups, numbers};
use crate::run::Run;
use crate::shape::Shape;
use crate::world::{PIPELINE, World};

/// Bytes that a fold may have in memory beyond its bound: the groups of the last batch, and those of a flush under way.
const SLACK: usize = 64 << 10;

/// Looks at each moment of a host.
#[derive(Debug, Clone, Default)]
pub struct Auditor {
    /// Number of commits at the last look, and the watermark at that time.
    commits: u64,
    watermark: Option<i64>,
}

impl Auditor {
    /// Invariants of every moment, and of commits.
    pub fn look(&mut self, world: &World, run: &Run) {
        if let Some(fold) = run.lane.chain().fold() {
            assert!(fold.bytes() <= world.memory.saturating_add(SLACK), "memory is bounded");
        }
        watermark_is_that_of_the_records(world, run);
        if let Some(head) = world.head().filter(|head| head.commits != self.commits) {
            assert!(head.event_times.watermark >= self.watermark, "a committed watermark never goes back");
            (self.commits, self.watermark) = (head.commits, head.event_times.watermark);
            states_are_those_of_the_intervals(world, run, &head);
        }
    }
}

/// Checks that the watermark is what the records say; where partitions may be idle, it is somewhere between the least and the greatest of
/// them.
fn watermark_is_that_of_the_records(world: &World, run: &Run) {
    if world.pipeline.shape.windows().is_none() {
        return;
    }
    let moments = || (0..world.topic.len()).map(|partition| run.book.moment(partition));
    let (least, greatest) = (moments().min().flatten(), moments().max().flatten());
    let passed = run.passed();
    assert!(passed >= run.last.watermark, "a watermark never goes back");
    if world.pipeline.shape.idles() {
        assert!(least <= passed && passed <= greatest, "{least:?} {passed:?} {greatest:?}");
    } else {
        assert_eq!(passed, least, "the watermark is that of the slowest partition");
    }
}

/// Every record of the committed intervals is in the committed states once, and no other is; and what is over is in none.
fn states_are_those_of_the_intervals(world: &World, run: &Run, head: &Checkpoint) {
    let intervals = if world.goes_on_from_rows() { &world.written.intervals } else { &head.intervals };
    let book = world.book();
    for partition in &book.partitions {
        let committed = intervals.end(Partition(i32::try_from(*partition).unwrap())).map_or(0, |end| end.0);
        let booked = book.consumed[*partition];
        assert_eq!(usize::try_from(committed), Ok(booked), "committed intervals are what was consumed");
    }
    if world.pipeline.shape.folds() {
        let (mut stored, mut expected) = (stored_sums(world), book.sums());
        // What began too long ago is swept by and by.
        let is_swept = |group: &Group| book.is_expired(*group, run.last.now);
        expected.retain(|group, _| is_kept(world.pipeline.shape, *group, head.event_times.watermark));
        expected.retain(|group, _| stored.contains_key(group) || !is_swept(group));
        stored.retain(|group, _| expected.contains_key(group) || !is_swept(group));
        are_the_same(stored, expected, "committed states are the sums of the committed intervals");
    }
}

fn stored_sums(world: &World) -> BTreeMap<Group, i64> {
    let stored = world.kept[world.me].disk.kept.scan(PIPELINE, None, usize::MAX).unwrap();
    let kinds = [Kind::Int64, Kind::Timestamp, Kind::Timestamp];
    let kinds = if world.pipeline.shape.windows().is_some() { &kinds[..] } else { &kinds[..1] };
    let keys = row::decode(kinds, stored.iter().map(|(key, _)| key.as_slice())).expect("keys are whole");
    let states = stored.iter().map(|(_, state)| state.as_slice());
    let states = decode_states(&[Kind::Int64], states).expect("states are whole");
    let versions = stored.iter().map(|(_, state)| i64::from(stored_version(state).expect("states say their version")));
    let sums = numbers(&states.columns[0]).into_iter().zip(versions).map(|(sum, version)| sum / version);
    groups(&keys).into_iter().zip(sums).collect()
}

/// Says whether a group is in the states when the watermark is at this moment.
fn is_kept(shape: Shape, group: Group, watermark: Option<i64>) -> bool {
    let (Some(options), Some((_, end))) = (shape.windows(), group.1) else { return true };
    watermark.is_none_or(|watermark| end + keep_for(options) > watermark)
}

/// Says whether a group may have a row when the watermark is at this moment.
fn is_shown(shape: Shape, group: Group, watermark: Option<i64>) -> bool {
    let (Some(options), Some((_, end))) = (shape.windows(), group.1) else { return true };
    options.emit == Emit::Changes || watermark.is_some_and(|watermark| end <= watermark)
}

/// Checks what a fold hands over: the book's sums, of windows that may still have a row, and that have any news.
pub fn sealed(world: &mut World, run: &Run, version: Version, rows: &[Row]) {
    let passed = run.passed();
    let (expected, changed) = (run.book.sums(), run.book.changed_since(run.last.values));
    for (group, value) in rows {
        assert!(is_kept(world.pipeline.shape, *group, run.last.watermark), "{group:?} was over");
        let is_new = changed.contains(group) || !is_shown(world.pipeline.shape, *group, run.last.watermark);
        assert!(is_new || run.last.shows_again, "{group:?} was written, and nothing changed");
        assert!(is_shown(world.pipeline.shape, *group, passed), "{group:?} isn't closed");
        if version.is_good() {
            assert_eq!(expected.get(group), Some(value), "{group:?}");
            changes_no_closed_row(world, *group, *value);
        }
    }
}

/// A row that was written once for all is the same when a host that crashed writes it again.
fn changes_no_closed_row(world: &mut World, group: Group, value: i64) {
    let once = |options: WindowOptions| options.emit == Emit::Closed && keep_for(options) == 0;
    if world.pipeline.shape.windows().is_some_and(once) && !world.pipeline.shape.idles() && world.pipeline.steady {
        assert_eq!(*world.closed.entry(group).or_insert(value), value, "{group:?} was closed");
    }
}

/// Each table equals that of a run without faults, and so do the letters.
pub fn at_the_end(world: &World) {
    let (watermark, now) = (world.watermark(), world.micros());
    let book = match world.shares_partitions() {
        true => &Book::of_others(world, &world.ends()),
        false => world.book(),
    };
    let shape = world.pipeline.shape;
    let expected = if shape == Shape::Rows { book.latest() } else { book.sums() };
    for (sink, table) in world.tables.iter().enumerate() {
        // Who is told of the end has no row of a group that is in no state any more.
        let stored = (world.pipeline.tombstones && sink == 0).then(|| stored_sums(world));
        let is_there = |group: Group| is_shown(shape, group, watermark) && is_kept(shape, group, table.shown_since);
        let mut expected: BTreeMap<Group, i64> =
            expected.iter().filter(|(group, _)| is_there(**group)).map(|(group, value)| (*group, *value)).collect();
        if let Some(stored) = &stored {
            expected.retain(|group, _| stored.contains_key(group));
        }
        let mut rows = table.rows.clone();
        // A table that was made anew has what is in the states, and that ends with their time.
        expected.retain(|group, _| rows.contains_key(group) || !book.is_expired(*group, now));
        if shape.idles() || shape.folds() && !world.pipeline.steady {
            rows.retain(|group, _| expected.contains_key(group));
        }
        are_the_same(rows, expected, &format!("{} is that of an undisturbed run", table.name));
    }
    if world.pipeline.inserts() {
        let mut inserted = world.tables.last().unwrap().inserted.clone();
        inserted.sort_unstable();
        let all = book.all();
        are_the_same(inserted.into_iter().enumerate(), all.into_iter().enumerate(), "each row is inserted once");
    }
    letters_are_those_of_records_left_out(world, book);
}

fn letters_are_those_of_records_left_out(world: &World, book: &Book) {
    let place = |id: &LetterId| (usize::try_from(id.partition.0).unwrap(), usize::try_from(id.offset.0).unwrap());
    let mut there: Vec<_> = world.letters.keys().map(place).collect();
    // A host that takes a fold over from an earlier checkpoint clears the letters of what it reads again; the one before may come back
    // first.
    let cleared = world.pipeline.shape.folds() && world.kept.len() > 1;
    for (place, must_be) in &book.letters {
        assert!(!must_be || cleared || there.contains(place), "the letter of {place:?} is there");
    }
    there.retain(|place| !book.letters.contains_key(place));
    assert!(there.is_empty(), "{there:?} were taken in, and have letters");
}

/// Fails with only the items that differ.
fn are_the_same<K: Ord + Debug, V: Ord + Debug>(
    is: impl IntoIterator<Item = (K, V)>,
    expected: impl IntoIterator<Item = (K, V)>,
    what: &str,
) {
    let (is, expected): (BTreeSet<_>, BTreeSet<_>) = (is.into_iter().collect(), expected.into_iter().collect());
    let (more, less): (Vec<_>, Vec<_>) = (is.difference(&expected).collect(), expected.difference(&is).collect());
    assert!(more.is_empty() && less.is_empty(), "{what}; there are {more:?} in place of {less:?}");
}
