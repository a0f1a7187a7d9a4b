//! Laws of swaps: whatever takes over when, every row counts once, and a roll-back leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::Int64Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use proptest::prelude::*;

use super::*;
use crate::checkpoint::memory::MemoryStore;
use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::testing::Sum;

/// The sum of each key, in a version that takes over the ones before.
fn version(number: u32) -> Sum {
    Sum { migrates: true, ..taking_over_nothing(number) }
}

fn taking_over_nothing(number: u32) -> Sum {
    Sum::new(&["key", "value"], &[0], &[1]).version(number)
}

fn input() -> [Field; 2] {
    [Field::new("key", Kind::Int64), Field::new("value", Kind::Int64)]
}

/// A pipeline's fold, its store, and the table of its rows.
struct World {
    store: Arc<MemoryStore>,
    memory: usize,
    fold: Fold,
    operator: Sum,
    /// Rows that were consumed, and as of the last commit.
    rows: Vec<(i64, i64)>,
    table: BTreeMap<i64, i64>,
    /// The rows as of the last commit.
    committed: usize,
    on_trial: bool,
}

impl World {
    fn new(memory: usize) -> World {
        let store = Arc::new(MemoryStore::default());
        let fold = open(&store, 1, memory);
        World {
            store,
            memory,
            fold,
            operator: version(1),
            rows: vec![],
            table: BTreeMap::new(),
            committed: 0,
            on_trial: false,
        }
    }

    fn add(&mut self, rows: &[(i64, i64)]) {
        let column = |value: fn(&(i64, i64)) -> i64| -> Option<ArrayRef> {
            Some(Arc::new(Int64Array::from_iter_values(rows.iter().map(value))))
        };
        let columns = [column(|row| row.0), column(|row| row.1)];
        self.fold.accumulate(&mut self.operator, rows.len(), &columns).unwrap();
        self.rows.extend(rows);
    }

    /// Seals and writes the rows; without a trial also commits.
    fn flush(&mut self) {
        let commits = self.fold.committed + 1;
        let sealed = self.fold.seal(&mut self.operator, commits).unwrap();
        for emitted in &sealed.emitted {
            let column = |i: usize| emitted.columns[i].as_primitive::<Int64Type>().values().to_vec();
            self.table.extend(column(0).into_iter().zip(column(1)));
        }
        if self.on_trial {
            assert!(sealed.changes.is_empty(), "nothing of a trial becomes durable");
        } else {
            let form = Some(self.fold.form().clone());
            let head = Checkpoint { commits, form, older: self.fold.older().to_vec(), ..Checkpoint::default() };
            self.store.commit("p", &head, &sealed.changes).unwrap();
            self.fold.set_committed(commits);
            self.committed = self.rows.len();
        }
        self.fold.evict();
    }

    fn swap(&mut self, number: u32, trial: bool) {
        if !self.on_trial {
            self.flush();
        }
        let mut operator = version(number);
        let fold = Fold::new(operator.fold.clone(), &input()).unwrap();
        let stored = [std::slice::from_ref(self.fold.form()), self.fold.older()].concat();
        if try_migration(self.store.as_ref(), "p", (fold.form(), &stored), &mut operator).is_err() {
            return;
        }
        let old = std::mem::replace(&mut self.fold, fold);
        match self.fold.adopt(old, &mut operator) {
            Ok(_) => {
                self.operator = operator;
                if trial {
                    self.fold.begin_trial();
                    self.on_trial = true;
                }
            }
            Err((old, reason)) => {
                assert!(reason.contains("is newer"), "{reason}");
                self.fold = *old;
            }
        }
    }

    /// Loses everything in memory and starts again from the store.
    fn crash(&mut self) {
        let head = self.store.head("p").unwrap();
        let number = head.as_ref().map_or(1, |head| head.form.as_ref().unwrap().version);
        self.operator = version(number);
        self.fold = open(&self.store, number, self.memory);
        self.on_trial = false;
        self.fold.touch_all();
        let lost = self.rows.split_off(self.committed);
        self.add(&lost);
    }

    fn refresh(&mut self) {
        self.fold.refresh(&mut self.operator).unwrap();
    }

    fn pass(&mut self) {
        if std::mem::take(&mut self.on_trial) {
            self.fold.end_trial();
        }
    }

    /// Comes to its end: the table, and all that is stored, are the sums.
    fn finish(&mut self) {
        self.pass();
        while self.fold.is_refreshing() {
            self.refresh();
            self.flush();
        }
        self.flush();
        let mut expected = BTreeMap::new();
        for (key, value) in &self.rows {
            *expected.entry(*key).or_insert(0) += value;
        }
        assert_eq!(self.table, expected);
        let number = self.operator.fold.state_version;
        assert_eq!(self.fold.older(), []);
        for (_, state) in self.store.scan("p", None, usize::MAX).unwrap() {
            assert_eq!(stored_version(&state), Some(number), "every state is in the form of the head");
        }
        let mut again = open(&self.store, number, usize::MAX);
        again.touch_all();
        while again.is_refreshing() {
            again.refresh(&mut self.operator).unwrap();
        }
        let emitted = again.seal(&mut self.operator, u64::MAX).unwrap().emitted;
        let groups: usize = emitted.iter().map(|emitted| emitted.rows).sum();
        assert_eq!(groups, expected.len());
        for emitted in emitted {
            let column = |i: usize| emitted.columns[i].as_primitive::<Int64Type>().values().to_vec();
            column(0).into_iter().zip(column(1)).for_each(|(key, sum)| assert_eq!(expected[&key], sum));
        }
    }
}

fn open(store: &Arc<MemoryStore>, number: u32, memory: usize) -> Fold {
    let mut fold = Fold::new(version(number).fold, &input()).unwrap();
    let head = store.head("p").unwrap();
    let shared: Arc<dyn CheckpointStore> = Arc::clone(store) as _;
    fold.keep(Keeping { memory, ttl: None }, Backing::new(shared, "p", head.is_none()));
    let head = head.unwrap_or_default();
    fold.set_older(&[head.form.as_slice(), &head.older].concat());
    fold.set_committed(head.commits);
    fold
}

#[derive(Debug, Clone)]
enum Act {
    Add(Vec<(i64, i64)>),
    Flush,
    Swap(u32, bool),
    Pass,
    RollBack,
    Refresh,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let rows = prop::collection::vec((0i64..30, -100i64..100), 1..20);
    let act = prop_oneof![
        4 => rows.prop_map(Act::Add),
        3 => Just(Act::Flush),
        2 => (1u32..=3, any::<bool>()).prop_map(|(number, trial)| Act::Swap(number, trial)),
        2 => Just(Act::Pass),
        1 => Just(Act::RollBack),
        2 => Just(Act::Refresh),
    ];
    prop::collection::vec(act, 1..40)
}

proptest! {
    #[test]
    fn whatever_version_takes_over_when_every_row_counts_once(acts in acts(), memory in prop::sample::select(vec![1, usize::MAX])) {
        let mut world = World::new(memory);
        for act in acts {
            match act {
                Act::Add(rows) => world.add(&rows),
                Act::Flush => world.flush(),
                Act::Swap(number, trial) => {
                    let trial = trial || world.on_trial;
                    world.swap(number, trial);
                }
                Act::Pass => world.pass(),
                Act::RollBack => world.crash(),
                Act::Refresh => world.refresh(),
            }
        }
        world.finish();
    }
}

#[test]
fn a_group_that_is_only_written_in_a_newer_form_gets_no_younger() {
    let store = Arc::new(MemoryStore::default());
    let ttl = Some(100);
    let mut operator = version(1);
    let mut fold = open(&store, 1, usize::MAX);
    for number in [1, 2] {
        fold.keeping.ttl = ttl;
        fold.set_time(999 + i64::from(number));
        if number == 1 {
            let row = |value| Some(Arc::new(Int64Array::from(vec![value])) as ArrayRef);
            fold.accumulate(&mut operator, 1, &[row(7), row(5)]).unwrap();
        }
        while fold.is_refreshing() {
            fold.refresh(&mut operator).unwrap();
        }
        // The first refresh finds that the store has an older form.
        fold.refresh(&mut operator).unwrap();
        while fold.is_refreshing() {
            fold.refresh(&mut operator).unwrap();
        }
        let sealed = fold.seal(&mut operator, u64::from(number)).unwrap();
        assert_eq!(sealed.changes.len(), 1, "version {number}");
        let head = Checkpoint { commits: u64::from(number), form: Some(fold.form().clone()), ..Checkpoint::default() };
        store.commit("p", &head, &sealed.changes).unwrap();
        let (_, state) = store.scan("p", None, 1).unwrap().remove(0);
        assert_eq!(stored_version(&state), Some(number));
        assert_eq!(stored::touched_at(&state), Some(1_000));
        operator = version(number + 1);
        fold = open(&store, number + 1, usize::MAX);
    }
}

#[test]
fn a_migration_is_tried_on_all_that_is_stored_and_changes_nothing() {
    let mut world = World::new(usize::MAX);
    world.add(&(0..20).map(|key| (key, 1)).collect::<Vec<_>>());
    world.flush();
    let before = world.store.scan("p", None, usize::MAX).unwrap();
    let stored = [world.fold.form().clone()];
    let form = |number| Fold::new(version(number).fold, &input()).unwrap().form().clone();
    let tried = try_migration(world.store.as_ref(), "p", (&form(2), &stored), &mut version(2));
    assert_eq!(tried, Ok(20));
    assert_eq!(world.store.scan("p", None, usize::MAX).unwrap(), before);
    let newer = StateForm { version: 9, ..stored[0].clone() };
    let refused = try_migration(world.store.as_ref(), "p", (&newer, &stored), &mut taking_over_nothing(2));
    assert!(refused.unwrap_err().to_string().contains("it takes no states of version 1"));
}

/// Adds a row of one to each of so many groups.
fn ones(fold: &mut Fold, operator: &mut Sum, groups: std::ops::Range<i64>) {
    let rows = (groups.end - groups.start) as usize;
    let columns: [Option<ArrayRef>; 2] =
        [Some(Arc::new(Int64Array::from_iter_values(groups))), Some(Arc::new(Int64Array::from(vec![1; rows])))];
    fold.accumulate(operator, rows, &columns).unwrap();
}

fn commit(store: &MemoryStore, fold: &mut Fold, commits: u64, sealed: &Sealed) {
    let form = Some(fold.form().clone());
    let head = Checkpoint { commits, form, older: fold.older().to_vec(), ..Checkpoint::default() };
    store.commit("p", &head, &sealed.changes).unwrap();
    fold.set_committed(commits);
}

#[test]
fn groups_of_a_flush_that_is_not_committed_stay_in_memory_when_another_version_takes_over_and_are_stored_anew_once() {
    const MANY: i64 = 20_000;
    let store = Arc::new(MemoryStore::default());
    let mut fold = open(&store, 1, usize::MAX);
    let mut old = version(1);
    ones(&mut fold, &mut old, 0..MANY);
    let first = fold.seal(&mut old, 1).unwrap();
    commit(&store, &mut fold, 1, &first);
    ones(&mut fold, &mut old, 0..MANY - 10);
    let second = fold.seal(&mut old, 2).unwrap();

    let mut new = version(2);
    let before = std::mem::replace(&mut fold, Fold::new(new.fold.clone(), &input()).unwrap());
    assert!(fold.adopt(before, &mut new).is_ok());
    assert_eq!(fold.size().0, MANY as usize - 10, "what is committed comes back from the store");
    commit(&store, &mut fold, 2, &second);
    ones(&mut fold, &mut new, 0..MANY);
    let mut stored = 0;
    for commits in 3.. {
        let sealed = fold.seal(&mut new, commits).unwrap();
        for emitted in &sealed.emitted {
            let sums = emitted.columns[1].as_primitive::<Int64Type>().values();
            let keys = emitted.columns[0].as_primitive::<Int64Type>().values();
            assert!(keys.iter().zip(sums).all(|(key, sum)| *sum == if *key < MANY - 10 { 3 } else { 2 }));
        }
        stored += sealed.changes.len();
        commit(&store, &mut fold, commits, &sealed);
        if !fold.is_refreshing() {
            break;
        }
        assert!(commits < 30, "it comes to an end");
        fold.refresh(&mut new).unwrap();
    }
    let sealed = fold.seal(&mut new, 100).unwrap();
    assert_eq!(stored + sealed.changes.len(), MANY as usize, "what is in the new form is not stored again");
    let states = store.scan("p", None, usize::MAX).unwrap();
    assert!(states.iter().all(|(_, state)| stored_version(state) == Some(2)));
}

#[test]
fn states_that_nothing_touches_are_stored_in_the_new_form_too_wherever_they_are() {
    for commits_first in [false, true] {
        let store = Arc::new(MemoryStore::default());
        let mut fold = open(&store, 1, usize::MAX);
        let mut old = version(1);
        ones(&mut fold, &mut old, 0..10);
        let first = fold.seal(&mut old, 1).unwrap();
        if commits_first {
            commit(&store, &mut fold, 1, &first);
        }
        let mut new = version(2);
        let before = std::mem::replace(&mut fold, Fold::new(new.fold.clone(), &input()).unwrap());
        assert!(fold.adopt(before, &mut new).is_ok());
        if !commits_first {
            commit(&store, &mut fold, 1, &first);
        }
        for commits in 2..20 {
            fold.refresh(&mut new).unwrap();
            let sealed = fold.seal(&mut new, commits).unwrap();
            commit(&store, &mut fold, commits, &sealed);
        }
        assert!(!fold.is_refreshing() && fold.older().is_empty());
        let states = store.scan("p", None, usize::MAX).unwrap();
        assert!(states.iter().all(|(_, state)| stored_version(state) == Some(2)), "commits first: {commits_first}");
    }
}

#[test]
fn an_operator_with_the_same_states_and_other_results_shows_every_group_with_its_own() {
    let store = Arc::new(MemoryStore::default());
    let mut fold = open(&store, 1, usize::MAX);
    ones(&mut fold, &mut version(1), 0..3);
    let first = fold.seal(&mut version(1), 1).unwrap();
    commit(&store, &mut fold, 1, &first);
    let mut twice = version(1);
    twice.fold.outputs = vec![Field::new("one", Kind::Int64), Field::new("two", Kind::Int64)];
    let before = std::mem::replace(&mut fold, Fold::new(twice.fold.clone(), &input()).unwrap());
    assert!(fold.adopt(before, &mut twice).is_ok());
    let names = |fold: &Fold| fold.output_fields().into_iter().map(|field| field.name).collect::<Vec<_>>();
    assert_eq!(names(&fold), ["key", "one", "two"]);
    while fold.is_refreshing() {
        fold.refresh(&mut twice).unwrap();
    }
    let emitted = fold.seal(&mut twice, 2).unwrap().emitted;
    assert_eq!(emitted.iter().map(|rows| (rows.rows, rows.columns.len())).collect::<Vec<_>>(), [(3, 3)]);
}

#[test]
fn open_windows_go_on_when_an_operator_of_another_version_takes_over() {
    use crate::interval::Partition;
    use crate::window::{Emit, Late, Length, Window, WindowOptions};
    use std::time::Duration;
    let window = Window::Tumbling { size: Length::try_from(100).unwrap() };
    let (lateness, idle_after) = (Duration::ZERO, Duration::from_secs(60));
    let options = WindowOptions { window, lateness, idle_after, emit: Emit::Closed, late: Late::Drop };
    let store = Arc::new(MemoryStore::default());
    let windowed = |number| Fold::new(version(number).fold, &input()).unwrap().windowed(options);
    let add = |fold: &mut Fold, operator: &mut Sum, times: &[i64]| {
        let placed = fold.place(times.iter().map(|time| (Partition(0), Some(*time)))).unwrap();
        let column = |value| -> Option<ArrayRef> { Some(Arc::new(Int64Array::from(vec![value; times.len()]))) };
        fold.accumulate_placed(operator, &[column(7), column(1)], placed).unwrap();
    };
    let mut fold = windowed(1);
    fold.keep(Keeping { memory: usize::MAX, ttl: None }, Backing::new(Arc::clone(&store) as _, "p", true));
    add(&mut fold, &mut version(1), &[0, 50, 110]);
    let first = fold.seal(&mut version(1), 1).unwrap();
    commit(&store, &mut fold, 1, &first);
    let before = std::mem::replace(&mut fold, windowed(2));
    assert!(fold.adopt(before, &mut version(2)).is_ok());
    add(&mut fold, &mut version(2), &[120, 250]);
    let emitted = fold.seal(&mut version(2), 2).unwrap().emitted;
    let sums = |rows: &crate::rows::Rows| rows.columns[3].as_primitive::<Int64Type>().values().to_vec();
    let both = [first.emitted, emitted].map(|emitted| emitted.iter().flat_map(sums).collect::<Vec<_>>());
    assert_eq!(both, [[2], [2]], "the second began before the swap");
}
