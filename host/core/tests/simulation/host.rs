//! The host: a lane and a flusher that take turns as the seed says, and die with everything that they hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_core::chain::{Chain, ProcessError};
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore};
use sluice_core::fold::{Backing, Fold, FoldError, Keeping};
use sluice_core::records::{Records, consumed};
use sluice_core::window::Windows;
use sluice_core::{Offset, Partition};

use crate::audit;
use crate::book::Book;
use crate::operator::{Version, chain};
use crate::rows::{Row, rows};
use crate::world::{PIPELINE, Polled, World};

/// All that a crash takes away.
pub struct Host {
    pub chain: Chain,
    pub head: Checkpoint,
    /// What the auditor has written about what it has consumed.
    pub book: Book,
    pub last: LastSeal,
    pub version: Version,
    /// What runs is on trial.
    trial: bool,
    positions: BTreeMap<Partition, Offset>,
    /// Rows of a pipeline without a fold, since the last flush.
    pending: Vec<Row>,
    /// The flush under way: at most one, as in the host.
    pub flush: Option<Flush>,
}

/// As of the last seal, or the start.
pub struct LastSeal {
    pub watermark: Option<i64>,
    /// How many values the book had.
    pub values: usize,
    /// Groups become rows again that haven't changed since.
    pub shows_again: bool,
}

/// A flush and how far its effects are.
pub struct Flush {
    rows: Vec<Row>,
    head: Checkpoint,
    book: Book,
    changes: Changes,
    written: bool,
    /// A commit follows: not during a trial.
    durable: bool,
}

impl Host {
    /// From the checkpoint, or from nothing.
    pub fn start(world: &mut World) -> Host {
        let stored = world.store.head(PIPELINE).unwrap();
        world.note(&format!("start from {:?}", stored.as_ref().map(|head| head.commits)));
        let number = stored.as_ref().and_then(|head| head.form.as_ref()).map_or(1, |form| form.version);
        let version = Version { number, bad: false };
        let mut chain = chain(world.shape, version);
        let empty = stored.is_none();
        let mut head = stored.unwrap_or_default();
        world.change_sink();
        let sinks = vec![world.sink.clone()];
        let show_all = head.refreshing || !empty && head.sinks != sinks;
        head.sinks = sinks;
        if let Some(fold) = chain.fold_mut() {
            let store = Arc::clone(&world.store) as Arc<dyn CheckpointStore>;
            fold.keep(Keeping { memory: world.memory, ttl: None }, Backing::new(store, PIPELINE, empty));
            fold.set_older(&[head.form.as_slice(), &head.older].concat());
            fold.set_committed(head.commits);
        }
        chain.resume(&head.event_times).unwrap();
        if let Some(fold) = chain.fold_mut().filter(|_| show_all) {
            fold.touch_all();
        }
        if let Some(windows) = chain.fold_mut().and_then(Fold::windows) {
            world.ends().keys().for_each(|partition| windows.watermark().expect(*partition));
        }
        let positions = head.intervals.ends();
        let book = world.book.clone();
        let last = LastSeal { watermark: head.event_times.watermark, values: book.values(), shows_again: show_all };
        Host { chain, version, trial: false, positions, head, book, last, pending: Vec::new(), flush: None }
    }

    /// One thing that a host may do next.
    pub fn step(&mut self, world: &mut World) {
        if world.happens(25) {
            world.note("killed");
            *self = Host::start(world);
            return;
        }
        if self.trial && self.judge(world) {
            return;
        }
        match world.rng.u8(0..9) {
            0..=2 => self.take(world),
            3 => self.swap(world),
            4 => self.seal(world),
            5 => self.listen(world),
            _ => self.flush(world),
        }
        if let Some(fold) = self.chain.fold_mut() {
            fold.evict();
        }
        // By and by: records and flushes may come between.
        if world.rng.bool() && self.chain.fold().is_some_and(|fold| fold.is_refreshing() && !fold.is_over()) {
            self.chain.refresh().unwrap();
        }
    }

    /// Where the watermark is.
    pub fn passed(&mut self) -> Option<i64> {
        self.windows().and_then(|windows| windows.passed())
    }

    fn windows(&mut self) -> Option<&mut Windows> {
        self.chain.fold_mut().and_then(Fold::windows)
    }

    pub fn is_done(&self, world: &World) -> bool {
        let stored = world.store.head(PIPELINE).unwrap();
        let refreshing = self.chain.fold().is_some_and(|fold| fold.is_refreshing());
        self.waiting() == 0
            && !self.trial
            && self.flush.is_none()
            && !refreshing
            && stored.is_some_and(|head| head.intervals.reaches(&world.ends()))
    }

    fn waiting(&self) -> usize {
        self.pending.len() + self.chain.fold().map_or(0, Fold::waiting)
    }

    fn is_full(&self) -> bool {
        self.chain.fold().is_some_and(|fold| fold.is_over())
    }

    /// Takes some records in, in batches of any size; it may die between two batches of them.
    fn take(&mut self, world: &mut World) {
        if self.is_full() {
            return;
        }
        let polled = Polled::poll(world, &mut self.positions);
        let mut next = 0;
        while next < polled.len() {
            if world.happens(40) {
                world.note("killed within a batch");
                *self = Host::start(world);
                return;
            }
            let passed = self.passed();
            let outcome = match self.chain.process(&polled, next, world.rng.usize(1..20)) {
                Ok(outcome) => outcome,
                Err(ProcessError::Fold(FoldError::Windows { .. })) => {
                    // It stops, and somebody does as it says.
                    world.raise_memory();
                    *self = Host::start(world);
                    return;
                }
                Err(error) => panic!("{error}"),
            };
            audit::taken(&mut self.book, (&polled, next), &outcome, passed);
            next = outcome.next;
            self.pending.extend(outcome.output.iter().flat_map(|output| rows(&output.columns)));
            if world.happens(40) {
                // As the host does when it is stopped in the middle: what was processed counts, the rest doesn't.
                break;
            }
        }
        for (partition, interval) in consumed(&polled, next) {
            self.head.intervals.extend(partition, interval).unwrap();
        }
        self.positions = self.head.intervals.ends();
        refuses_what_was_consumed(&self.head, &polled);
    }

    /// A trial goes on, is passed, or is rolled back: what is bad never passes. Says whether the host began anew.
    fn judge(&mut self, world: &mut World) -> bool {
        if world.happens(15) || world.calm && self.version.bad {
            world.note("rolled back");
            *self = Host::start(world);
            return true;
        }
        if !self.version.bad && (world.calm || self.is_full() || world.happens(8)) {
            world.note("passed");
            self.trial = false;
            self.chain.end_trial();
            self.head.generation += 1;
        }
        false
    }

    /// Another operator takes over: of any state version, good or bad, on trial or, if it is good, not.
    fn swap(&mut self, world: &mut World) {
        // One that takes over from another on trial goes on with what that one has counted: what is bad ends in a roll-back.
        if world.calm || world.rng.bool() || self.flush.is_some() || self.version.bad {
            return;
        }
        let version = Version { number: world.rng.u32(1..=3), bad: world.shape.folds() && world.rng.u8(0..3) == 0 };
        let trial = version.bad || self.trial || world.rng.bool();
        world.note(&format!("swap to {version:?}, on trial: {trial}"));
        self.seal(world);
        let old = std::mem::replace(&mut self.chain, chain(world.shape, version));
        assert!(self.chain.adopt(old).is_ok());
        if let Some(flush) = &mut self.flush {
            flush.head.refreshing = true;
        }
        self.version = version;
        self.last.shows_again = true;
        self.trial = trial;
        if trial {
            self.chain.begin_trial();
        } else {
            self.head.generation += 1;
        }
    }

    /// Hands over what changed, if there is a place.
    fn seal(&mut self, world: &mut World) {
        if self.flush.is_some() {
            return;
        }
        self.head.commits += u64::from(!self.trial);
        let sealed = self.chain.seal(self.head.commits).unwrap();
        assert!(!self.trial || sealed.changes.is_empty(), "nothing of a trial becomes durable");
        if let Some(fold) = self.chain.fold() {
            self.head.refreshing = fold.is_showing();
            (self.head.form, self.head.older) = (Some(fold.form().clone()), fold.older().to_vec());
            self.head.event_times = fold.event_times();
        }
        let emitted: Vec<Row> = sealed.emitted.iter().flat_map(|emitted| rows(&emitted.columns)).collect();
        audit::sealed(world, self, &emitted);
        self.last = LastSeal {
            watermark: self.passed(),
            values: self.book.values(),
            shows_again: self.chain.fold().is_some_and(Fold::is_showing),
        };
        let rows = [std::mem::take(&mut self.pending), emitted].concat();
        world.note(&format!("seal {} rows", rows.len()));
        let (head, book, changes) = (self.head.clone(), self.book.clone(), sealed.changes);
        self.flush = Some(Flush { rows, head, book, changes, written: false, durable: !self.trial });
    }

    /// Hears from the source in which partitions there is nothing to read, or that it is away.
    fn listen(&mut self, world: &mut World) {
        let (ends, consumed, away) = (world.ends(), self.head.intervals.ends(), world.happens(6));
        let Some(windows) = self.windows() else { return };
        if away {
            windows.watermark().unknown();
            return;
        }
        for (partition, end) in ends {
            if consumed.get(&partition).is_none_or(|consumed| *consumed < end) && end > Offset(0) {
                windows.watermark().behind(partition);
            } else {
                windows.watermark().at_end(partition, world.now);
            }
        }
        windows.watermark().advance();
        world.note(&format!("the watermark is {:?}", windows.passed()));
    }

    /// The next effect of the flush, again if it failed.
    fn flush(&mut self, world: &mut World) {
        let Some(flush) = &mut self.flush else { return };
        if !flush.written {
            flush.written = world.upsert(&flush.rows).is_ok();
            return;
        }
        if !flush.durable {
            self.flush = None;
            return;
        }
        if world.commit(&flush.head, &flush.changes, &flush.book).is_ok() {
            let commits = flush.head.commits;
            self.flush = None;
            if let Some(fold) = self.chain.fold_mut() {
                fold.set_committed(commits);
            }
        }
    }
}

/// Records that come a second time fit nowhere.
fn refuses_what_was_consumed(head: &Checkpoint, polled: &Polled) {
    for (partition, interval) in polled.intervals() {
        let mut intervals = head.intervals.clone();
        if intervals.end(*partition) == Some(interval.end()) {
            assert!(intervals.extend(*partition, *interval).is_err());
            assert_eq!(intervals, head.intervals);
        }
    }
}
