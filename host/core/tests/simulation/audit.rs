//! What must hold, whatever happened.
//!
//! All is held against the auditor's book (see `book.rs`), exactly, with one exception. How long a partition was silent is no part of
//! a checkpoint: where windows go on without silent partitions, a host that crashed may find another record late than before,
//! and rows that it had written are then no longer those of its states. So in such worlds the table may have more rows than are
//! expected at the end, and a row that was closed may change over a crash; the states are as exact as everywhere.

use std::collections::BTreeMap;

use sluice_core::chain::Outcome;
use sluice_core::checkpoint::{Checkpoint, CheckpointStore};
use sluice_core::fold::{decode_states, stored_version};
use sluice_core::records::Records;
use sluice_core::window::{Emit, WindowOptions};
use sluice_core::{Kind, Partition, row};

use crate::book::{Book, Fate, keep_for};
use crate::host::Host;
use crate::rows::{Group, Row, groups, numbers};
use crate::shape::Shape;
use crate::world::{PIPELINE, Polled, World};

/// What a fold may have in memory beyond its bound: the groups of the last batch, and those of a flush under way.
const SLACK: usize = 64 << 10;

/// Looks at each moment.
#[derive(Debug, Default)]
pub struct Auditor {
    /// What was committed when it looked last, and where the watermark was then.
    commits: u64,
    watermark: Option<i64>,
}

impl Auditor {
    /// Invariants of every moment, and of commits.
    pub fn look(&mut self, world: &World, host: &mut Host) {
        if let Some(fold) = host.chain.fold() {
            assert!(fold.bytes() <= world.memory.saturating_add(SLACK), "memory is bounded");
        }
        watermark_is_that_of_the_records(world, host);
        if let Some(head) = world.store.head(PIPELINE).unwrap().filter(|head| head.commits != self.commits) {
            assert!(head.event_times.watermark >= self.watermark, "a committed watermark never goes back");
            (self.commits, self.watermark) = (head.commits, head.event_times.watermark);
            states_are_those_of_the_intervals(world, &head);
        }
    }
}

/// It is what the records say; where partitions may be idle, somewhere between the least and the greatest of them.
fn watermark_is_that_of_the_records(world: &World, host: &mut Host) {
    if world.shape.windows().is_none() {
        return;
    }
    let moments = || (0..world.topic.len()).map(|partition| host.book.moment(partition));
    let (least, greatest) = (moments().min().flatten(), moments().max().flatten());
    let passed = host.passed();
    assert!(passed >= host.last.watermark, "a watermark never goes back");
    if world.shape.idles() {
        assert!(least <= passed && passed <= greatest, "{least:?} {passed:?} {greatest:?}");
    } else {
        assert_eq!(passed, least, "the watermark is that of the slowest partition");
    }
}

/// Every record of the committed intervals is in the committed states once, and no other is; and what is over is in none.
fn states_are_those_of_the_intervals(world: &World, head: &Checkpoint) {
    let consumed = |partition| head.intervals.end(Partition(partition)).map_or(0, |end| end.0);
    let committed: Vec<i64> = (0..).take(world.topic.len()).map(consumed).collect();
    let booked: Vec<i64> = world.book.consumed.iter().map(|records| i64::try_from(*records).unwrap()).collect();
    assert_eq!(committed, booked, "committed intervals are what was consumed");
    if world.shape.folds() {
        let mut expected = world.book.sums();
        expected.retain(|group, _| is_kept(world.shape, *group, head.event_times.watermark));
        assert_eq!(stored_sums(world), expected, "committed states are the sums of the committed intervals");
    }
}

fn stored_sums(world: &World) -> BTreeMap<Group, i64> {
    let stored = world.store.scan(PIPELINE, None, usize::MAX).unwrap();
    let kinds = [Kind::Int64, Kind::Timestamp, Kind::Timestamp];
    let kinds = if world.shape.windows().is_some() { &kinds[..] } else { &kinds[..1] };
    let keys = row::decode(kinds, stored.iter().map(|(key, _)| key.as_slice())).expect("keys are whole");
    let states = stored.iter().map(|(_, state)| state.as_slice());
    let states = decode_states(&[Kind::Int64], states).expect("states are whole");
    let versions = stored.iter().map(|(_, state)| i64::from(stored_version(state).expect("states say their version")));
    let sums = numbers(&states.columns[0]).into_iter().zip(versions).map(|(sum, version)| sum / version);
    groups(&keys).into_iter().zip(sums).collect()
}

/// Whether a group is in the states where the watermark is there.
fn is_kept(shape: Shape, group: Group, watermark: Option<i64>) -> bool {
    let (Some(options), Some((_, end))) = (shape.windows(), group.1) else { return true };
    watermark.is_none_or(|watermark| end + keep_for(options) > watermark)
}

/// Whether a group may have a row where the watermark is there.
fn is_shown(shape: Shape, group: Group, watermark: Option<i64>) -> bool {
    let (Some(options), Some((_, end))) = (shape.windows(), group.1) else { return true };
    options.emit == Emit::Changes || watermark.is_some_and(|watermark| end <= watermark)
}

/// Records were consumed, from `start` on, when the watermark had passed this moment: those are left out, and so many are late, as
/// the book says.
pub fn taken(book: &mut Book, (polled, start): (&Polled, usize), outcome: &Outcome, passed: Option<i64>) {
    let late = book.late;
    let mut is_left_out = |i: &usize| {
        let (partition, offset) = polled.position(*i);
        let partition = usize::try_from(partition.0).unwrap();
        assert_eq!(usize::try_from(offset.0), Ok(book.consumed[partition]), "each record once, in its order");
        book.take(partition, polled.record(*i), passed) == Fate::IsLeftOut
    };
    let left_out: Vec<usize> = (start..outcome.next).filter(&mut is_left_out).collect();
    let rejected: Vec<usize> = outcome.rejected.iter().map(|rejected| rejected.record).collect();
    assert_eq!(rejected, left_out, "what has no window is left out");
    assert_eq!(outcome.late, book.late - late, "late rows are counted");
}

/// What a fold hands over: the book's sums, of windows that may still have a row, and that have any news.
pub fn sealed(world: &mut World, host: &mut Host, rows: &[Row]) {
    let passed = host.passed();
    let (expected, changed) = (host.book.sums(), host.book.changed_since(host.last.values));
    for (group, value) in rows {
        assert!(is_kept(world.shape, *group, host.last.watermark), "{group:?} was over");
        let is_new = changed.contains(group) || !is_shown(world.shape, *group, host.last.watermark);
        assert!(is_new || host.last.shows_again, "{group:?} was written, and nothing changed");
        assert!(is_shown(world.shape, *group, passed), "{group:?} isn't closed");
        if !host.version.bad {
            assert_eq!(expected.get(group), Some(value), "{group:?}");
            changes_no_closed_row(world, *group, *value);
        }
    }
}

/// A row that was written once for all is the same when a host that crashed writes it again.
fn changes_no_closed_row(world: &mut World, group: Group, value: i64) {
    let once = |options: WindowOptions| options.emit == Emit::Closed && keep_for(options) == 0;
    if world.shape.windows().is_some_and(once) && !world.shape.idles() {
        assert_eq!(*world.closed.entry(group).or_insert(value), value, "{group:?} was closed");
    }
}

/// The table equals that of a run without faults.
pub fn at_the_end(world: &World) {
    let mut expected = world.book.sums();
    if world.shape == Shape::Rows {
        let latest = world.topic.iter().flatten().map(|record| ((record.key, None), record.value));
        expected = latest.collect();
    }
    let watermark = world.watermark();
    expected
        .retain(|group, _| is_shown(world.shape, *group, watermark) && is_kept(world.shape, *group, world.shown_since));
    let mut table = world.table.clone();
    if world.shape.idles() {
        table.retain(|group, _| expected.contains_key(group));
    }
    assert_eq!(table, expected, "the table is that of an undisturbed run");
}
