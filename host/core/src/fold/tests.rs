//! Laws of grouping: equal to a naive fold, however the rows are cut into batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::Int64Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use proptest::prelude::*;

use super::*;
use crate::checkpoint::memory::MemoryStore;
use crate::checkpoint::{Changes, Checkpoint, CheckpointStore, Group};
use crate::rows::Rows;
use crate::testing::{Call, Sum};

pub(super) fn sum() -> Sum {
    Sum::new(&["a", "b", "v"], &[0, 1], &[2])
}

pub(super) type Row = (Option<i64>, Option<String>, i64);
pub(super) type Totals = BTreeMap<(Option<i64>, Option<String>), i64>;

pub(super) fn fold() -> Fold {
    fold_of(sum())
}

fn fold_of(sum: Sum) -> Fold {
    let input = [Field::new("a", Kind::Int64), Field::new("b", Kind::Utf8), Field::new("v", Kind::Int64)];
    Fold::new(sum.fold, &input).unwrap()
}

pub(super) fn add(fold: &mut Fold, rows: &[Row]) -> Result<(), FoldError> {
    let a: Int64Array = rows.iter().map(|row| row.0).collect();
    let b: arrow_array::StringArray = rows.iter().map(|row| row.1.clone()).collect();
    let v: Int64Array = rows.iter().map(|row| Some(row.2)).collect();
    let columns: [Option<ArrayRef>; 3] = [Some(Arc::new(a)), Some(Arc::new(b)), Some(Arc::new(v))];
    fold.accumulate(&mut sum(), rows.len(), &columns)
}

pub(super) fn changed(fold: &mut Fold) -> Totals {
    let flush = fold.committed + 1;
    totals(fold.seal(&mut sum(), flush).unwrap().emitted)
}

pub(super) fn totals(emitted: Vec<Rows>) -> Totals {
    let mut totals = Totals::new();
    for emitted in emitted {
        let a = emitted.columns[0].as_primitive::<Int64Type>().iter();
        let b = emitted.columns[1].as_string::<i32>().iter();
        let sums = emitted.columns[2].as_primitive::<Int64Type>().values();
        for ((a, b), sum) in a.zip(b).zip(sums) {
            assert_eq!(totals.insert((a, b.map(str::to_owned)), *sum), None, "a group is emitted once");
        }
    }
    totals
}

fn naive(rows: &[Row]) -> Totals {
    let mut totals = Totals::new();
    for (a, b, v) in rows {
        *totals.entry((*a, b.clone())).or_default() += v;
    }
    totals
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = prop::option::of(prop_oneof![Just(String::new()), Just("x".to_owned()), "[a-c]{0,3}"]);
    prop::collection::vec((prop::option::of(-2i64..3), text, -1_000i64..1_000), 0..200)
}

proptest! {
    #[test]
    fn grouping_equals_a_naive_fold_however_rows_are_cut(rows in rows(), size in 1usize..50) {
        let mut whole = fold();
        add(&mut whole, &rows).unwrap();
        prop_assert_eq!(changed(&mut whole), naive(&rows));
        let mut cut = fold();
        for batch in rows.chunks(size) {
            add(&mut cut, batch).unwrap();
        }
        prop_assert_eq!(changed(&mut cut), naive(&rows));
        prop_assert_eq!(cut.size().1, 0, "what was emitted is no longer changed");
    }

    #[test]
    fn only_groups_that_changed_since_are_emitted_and_with_their_totals(first in rows(), second in rows()) {
        let mut fold = fold();
        add(&mut fold, &first).unwrap();
        changed(&mut fold);
        add(&mut fold, &second).unwrap();
        let all = naive(&[first, second.clone()].concat());
        let touched: Totals = naive(&second).into_keys().map(|key| { let total = all[&key]; (key, total) }).collect();
        prop_assert_eq!(changed(&mut fold), touched);
    }
}

#[test]
fn a_refused_batch_leaves_the_states_as_they_were() {
    let mut fold = fold();
    add(&mut fold, &[(Some(1), None, i64::MAX)]).unwrap();
    let refused = add(&mut fold, &[(Some(1), None, 1), (Some(2), None, 5)]).unwrap_err();
    assert_eq!(refused, FoldError::Operator(OperatorError::Refused("overflow".to_owned())));
    assert_eq!(changed(&mut fold), Totals::from([((Some(1), None), i64::MAX)]));
}

#[test]
fn states_of_another_version_are_taken_over_only_by_an_operator_that_migrates_them() {
    let mut old = fold();
    add(&mut old, &[(Some(1), None, 5)]).unwrap();
    let newer = || sum().version(2);
    let Err((old, reason)) = fold_of(newer()).adopt(old, &mut newer()) else { panic!("no migration") };
    assert!(reason.contains("it takes no states of version 1"), "{reason}");
    let mut same = fold();
    assert!(same.adopt(*old, &mut sum()).is_ok());
    assert_eq!(changed(&mut same), Totals::from([((Some(1), None), 5)]));
}

/// A fold whose groups are in a store, and which keeps next to none in memory.
pub(super) fn kept(store: &Arc<MemoryStore>, memory: usize, ttl: Option<i64>) -> Fold {
    let mut fold = fold();
    let head = store.head("p").unwrap();
    let backing = Backing::new(Arc::clone(store) as Arc<dyn CheckpointStore>, "p", head.is_none());
    fold.keep(Keeping { memory, ttl }, backing);
    fold.set_committed(head.map_or(0, |head| head.commits));
    fold
}

/// Performs one flush as the flusher does: emitted rows count once the store has the changes.
pub(super) fn flush(fold: &mut Fold, store: &MemoryStore, table: &mut Totals) {
    let commits = fold.committed + 1;
    let sealed = fold.seal(&mut sum(), commits).unwrap();
    table.extend(totals(sealed.emitted));
    store.commit("p", &Checkpoint { commits, ..Checkpoint::default() }, &sealed.changes).unwrap();
    fold.set_committed(commits);
}

proptest! {
    #[test]
    fn a_fold_that_forgets_and_restarts_ends_like_one_that_does_neither(
        batches in prop::collection::vec((rows(), any::<bool>(), prop::bool::weighted(0.2)), 1..20),
    ) {
        let store = Arc::new(MemoryStore::default());
        let mut fold = kept(&store, 1, None);
        let mut table = Totals::new();
        let mut all = Vec::new();
        for (rows, flushed, restarted) in batches {
            add(&mut fold, &rows).unwrap();
            all.extend(rows);
            if flushed || restarted {
                flush(&mut fold, &store, &mut table);
            }
            fold.evict();
            if restarted {
                fold = kept(&store, 1, None);
            }
        }
        flush(&mut fold, &store, &mut table);
        while fold.size().0 > 0 {
            let before = fold.size().0;
            fold.evict();
            prop_assert!(fold.size().0 <= before / 2, "of what is committed, half leaves memory");
        }
        prop_assert_eq!(&table, &naive(&all));
        let mut again = kept(&store, usize::MAX, None);
        again.touch_all();
        while again.is_refreshing() {
            again.refresh(&mut sum()).unwrap();
        }
        prop_assert_eq!(changed(&mut again), naive(&all), "every stored group can be shown again");
    }
}

#[test]
fn a_group_that_nobody_touched_for_its_time_to_live_begins_anew_in_memory_and_in_the_store() {
    for evicted in [false, true] {
        let store = Arc::new(MemoryStore::default());
        let mut fold = kept(&store, if evicted { 1 } else { usize::MAX }, Some(100));
        let mut table = Totals::new();
        fold.set_time(1_000);
        add(&mut fold, &[(Some(1), None, 5), (Some(2), None, 7), (Some(3), None, 9)]).unwrap();
        flush(&mut fold, &store, &mut table);
        fold.evict();
        fold.set_time(1_100);
        add(&mut fold, &[(Some(1), None, 5)]).unwrap();
        flush(&mut fold, &store, &mut table);
        fold.evict();
        fold.set_time(1_101);
        add(&mut fold, &[(Some(1), None, 1), (Some(2), None, 1)]).unwrap();
        flush(&mut fold, &store, &mut table);
        // The store is looked through in rounds: the one that ended before has seen the third group in time.
        flush(&mut fold, &store, &mut table);
        let key = |number| (Some(number), None);
        assert_eq!(table, Totals::from([(key(1), 11), (key(2), 1), (key(3), 9)]), "evicted: {evicted}");
        assert_eq!(store.scan("p", None, 10).unwrap().len(), 2, "the third is no longer stored");
    }
}

#[test]
fn a_group_that_is_listed_just_to_be_shown_again_begins_anew_after_its_time_to_live_too() {
    let store = Arc::new(MemoryStore::default());
    let mut fold = kept(&store, usize::MAX, Some(100));
    fold.set_time(1_000);
    add(&mut fold, &[(Some(1), None, 5)]).unwrap();
    flush(&mut fold, &store, &mut Totals::new());
    let mut fold = kept(&store, usize::MAX, Some(100));
    fold.set_time(1_099);
    fold.touch_all();
    while fold.is_refreshing() {
        fold.refresh(&mut sum()).unwrap();
    }
    fold.set_time(1_101);
    add(&mut fold, &[(Some(1), None, 1)]).unwrap();
    assert_eq!(changed(&mut fold), Totals::from([((Some(1), None), 1)]));
}

#[test]
fn an_expired_group_whose_rows_are_refused_stays_as_it_was() {
    let store = Arc::new(MemoryStore::default());
    let mut fold = kept(&store, usize::MAX, Some(100));
    fold.set_time(1_000);
    add(&mut fold, &[(Some(1), None, 5)]).unwrap();
    flush(&mut fold, &store, &mut Totals::new());
    fold.set_time(1_101);
    add(&mut fold, &[(Some(1), None, i64::MAX), (Some(1), None, 1)]).unwrap_err();
    // Only those that haven't expired are shown again.
    fold.set_time(1_099);
    fold.touch_all();
    while fold.is_refreshing() {
        fold.refresh(&mut sum()).unwrap();
    }
    assert_eq!(changed(&mut fold), Totals::from([((Some(1), None), 5)]));
}

#[test]
fn a_group_that_has_ended_is_not_shown_again_from_memory_or_from_the_store() {
    let store = Arc::new(MemoryStore::default());
    let mut fold = kept(&store, usize::MAX, Some(100));
    fold.set_time(1_000);
    add(&mut fold, &[(Some(1), None, 5), (Some(2), None, 6)]).unwrap();
    flush(&mut fold, &store, &mut Totals::new());
    fold.set_time(1_090);
    add(&mut fold, &[(Some(2), None, 1)]).unwrap();
    flush(&mut fold, &store, &mut Totals::new());
    for mut fold in [fold, kept(&store, usize::MAX, Some(100))] {
        fold.set_time(1_101);
        fold.touch_all();
        while fold.is_refreshing() {
            fold.refresh(&mut sum()).unwrap();
        }
        assert_eq!(changed(&mut fold), Totals::from([((Some(2), None), 7)]));
    }
}

#[test]
fn groups_that_were_not_touched_for_too_long_end_with_a_flush() {
    let store = Arc::new(MemoryStore::default());
    let mut fold = kept(&store, usize::MAX, Some(100));
    fold.set_time(1_000);
    add(&mut fold, &[(Some(1), None, 5), (Some(2), None, 6)]).unwrap();
    flush(&mut fold, &store, &mut Totals::new());
    fold.set_time(1_101);
    add(&mut fold, &[(Some(2), None, 1)]).unwrap();
    let sealed = fold.seal(&mut sum(), 2).unwrap();
    let ended: Vec<&[u8]> = sealed.changes.ended().collect();
    assert_eq!(ended.len(), 1);
    let gone: Vec<&[u8]> = sealed.changes.iter().filter(|(_, state)| state.is_none()).map(|(key, _)| key).collect();
    assert_eq!(ended, gone);
}

#[test]
fn a_store_that_is_away_at_a_seal_is_swept_at_another() {
    let store = Arc::new(Away(false.into(), MemoryStore::default()));
    let mut fold = fold();
    let backing = Backing::new(Arc::clone(&store) as Arc<dyn CheckpointStore>, "p", true);
    fold.keep(Keeping { ttl: Some(100), ..Keeping::default() }, backing);
    fold.set_time(1_000);
    add(&mut fold, &[(Some(1), None, 5)]).unwrap();
    flush(&mut fold, &store.1, &mut Totals::new());
    fold.set_time(1_101);
    for (is_away, left) in [(true, 1), (false, 0)] {
        store.0.store(is_away, std::sync::atomic::Ordering::Relaxed);
        flush(&mut fold, &store.1, &mut Totals::new());
        assert_eq!(store.1.scan("p", None, 10).unwrap().len(), left, "away: {is_away}");
    }
}

/// A disk that is away while it says so.
pub(super) struct Away(pub(super) std::sync::atomic::AtomicBool, pub(super) MemoryStore);

impl CheckpointStore for Away {
    fn head(&self, pipeline: &str) -> Result<Option<Checkpoint>, StoreError> {
        self.1.head(pipeline)
    }
    fn states(&self, pipeline: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        if self.0.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        self.1.states(pipeline, keys)
    }
    fn scan(&self, pipeline: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Group>, StoreError> {
        if self.0.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        self.1.scan(pipeline, after, limit)
    }
    fn commit(&self, pipeline: &str, head: &Checkpoint, changes: &Changes) -> Result<(), StoreError> {
        self.1.commit(pipeline, head, changes)
    }
    fn reset(&self, pipeline: &str) -> Result<(), StoreError> {
        self.1.reset(pipeline)
    }
    fn pipelines(&self) -> Result<Vec<String>, StoreError> {
        self.1.pipelines()
    }
}

#[test]
fn a_batch_whose_states_can_not_be_read_changes_nothing_and_can_be_added_again() {
    let store = Arc::new(Away(true.into(), MemoryStore::default()));
    let mut fold = fold();
    fold.keep(Keeping::default(), Backing::new(Arc::clone(&store) as Arc<dyn CheckpointStore>, "p", false));
    let batch = [(Some(1), None, 5), (Some(2), None, 7)];
    let error = add(&mut fold, &batch).unwrap_err();
    assert_eq!(error, FoldError::Store(StoreError::Unavailable("away".to_owned())));
    assert_eq!(fold.size(), (0, 0));
    store.0.store(false, std::sync::atomic::Ordering::Relaxed);
    add(&mut fold, &batch).unwrap();
    assert_eq!(changed(&mut fold), naive(&batch));
}

#[test]
fn a_fold_is_full_when_a_quarter_of_its_memory_waits_for_a_flush_and_no_longer_once_it_is_sealed() {
    const MEMORY: usize = 1 << 20;
    let store = Arc::new(MemoryStore::default());
    let mut fold = kept(&store, MEMORY, None);
    let mut next = 0..;
    while !fold.is_full() {
        add(&mut fold, &next.by_ref().take(100).map(|a| (Some(a), None, 1)).collect::<Vec<_>>()).unwrap();
    }
    assert!(!fold.is_over(), "the groups alone have room: {} bytes", fold.bytes());
    assert!(fold.bytes() > MEMORY / 5, "and had it used: {} bytes", fold.bytes());
    flush(&mut fold, &store, &mut Totals::new());
    assert!(!fold.is_full());
}

#[test]
fn a_row_whose_key_can_not_be_stored_is_at_fault_and_the_longest_that_can_be_counts() {
    let mut fold = fold();
    // Tag and number, tag and length: 9 and 5 bytes.
    let key = |bytes: usize| Some("k".repeat(bytes - 14));
    let rows = [(Some(1), key(MAX_KEY_BYTES), 1), (Some(1), key(MAX_KEY_BYTES + 1), 2), (None, None, 4)];
    let Err(FoldError::Operator(OperatorError::Rows(refused))) = add(&mut fold, &rows) else { unreachable!() };
    assert_eq!(refused.iter().map(|rejection| rejection.row).collect::<Vec<_>>(), [1]);
    assert!(refused[0].reason.contains("takes 65535 bytes"), "{}", refused[0].reason);
    assert_eq!(fold.size(), (0, 0), "nothing of the call is kept");
    add(&mut fold, &[rows[0].clone(), rows[2].clone()]).unwrap();
    assert_eq!(fold.size(), (2, 2));
}

#[test]
fn a_group_that_begins_anew_counts_on_from_there_and_one_lives_for_all_of_its_time() {
    let store = Arc::new(MemoryStore::default());
    let mut fold = kept(&store, usize::MAX, Some(100));
    let mut table = Totals::new();
    fold.set_time(1_000);
    add(&mut fold, &[(Some(1), None, 5), (Some(2), None, 5)]).unwrap();
    flush(&mut fold, &store, &mut table);
    fold.set_time(1_100);
    add(&mut fold, &[(Some(1), None, 1)]).unwrap();
    flush(&mut fold, &store, &mut table);
    assert_eq!(store.scan("p", None, 10).unwrap().len(), 2, "its time is not over before it is");
    fold.set_time(1_300);
    for _ in 0..2 {
        add(&mut fold, &[(Some(1), None, 1), (Some(2), None, 1)]).unwrap();
    }
    flush(&mut fold, &store, &mut table);
    assert_eq!(table, Totals::from([((Some(1), None), 2), ((Some(2), None), 2)]));
}

#[test]
fn a_group_is_not_dropped_from_the_store_as_too_old_while_a_newer_state_is_on_its_way_there() {
    let store = Arc::new(MemoryStore::default());
    let mut fold = kept(&store, usize::MAX, Some(100));
    let mut table = Totals::new();
    fold.set_time(1_000);
    add(&mut fold, &[(Some(1), None, 5), (Some(2), None, 5)]).unwrap();
    flush(&mut fold, &store, &mut table);
    // Handed over, and not committed yet, as the next flush is made.
    fold.set_time(1_050);
    add(&mut fold, &[(Some(1), None, 1)]).unwrap();
    let first = fold.seal(&mut sum(), 2).unwrap();
    // With this one the round through the store ends.
    assert!(fold.seal(&mut sum(), 3).unwrap().changes.is_empty());
    fold.set_time(1_110);
    let second = fold.seal(&mut sum(), 4).unwrap();
    assert_eq!(second.changes.iter().map(|(_, state)| state.is_none()).collect::<Vec<_>>(), [true], "the second is");
    for sealed in [first, second] {
        store.commit("p", &Checkpoint { commits: 3, ..Checkpoint::default() }, &sealed.changes).unwrap();
    }
    let mut fold = kept(&store, usize::MAX, None);
    add(&mut fold, &[(Some(1), None, 1), (Some(2), None, 1)]).unwrap();
    assert_eq!(changed(&mut fold), Totals::from([((Some(1), None), 7), ((Some(2), None), 1)]));
}

#[test]
fn a_stored_group_that_is_not_in_memory_is_dropped_once_it_is_too_old_and_not_before() {
    for (now, left) in [(1_100, 1), (1_101, 0)] {
        let store = Arc::new(MemoryStore::default());
        let mut fold = kept(&store, usize::MAX, None);
        fold.set_time(1_000);
        add(&mut fold, &[(Some(1), None, 5)]).unwrap();
        flush(&mut fold, &store, &mut Totals::new());
        let mut fold = kept(&store, usize::MAX, Some(100));
        fold.set_time(now);
        flush(&mut fold, &store, &mut Totals::new());
        assert_eq!(store.scan("p", None, 10).unwrap().len(), left);
    }
}

/// Adds up, and answers something else than planned to one of the calls.
fn misanswers(misanswered: Call, answer: &[ArrayRef]) -> Sum {
    let answer = answer.to_vec();
    sum().hooked(move |call, _| Ok((call == misanswered).then(|| answer.clone())))
}

#[test]
fn an_answer_of_other_columns_types_or_rows_than_planned_is_the_operators_fault_and_changes_nothing() {
    let numbers = |rows| -> ArrayRef { Arc::new(Int64Array::from(vec![7; rows])) };
    let texts: ArrayRef = Arc::new(arrow_array::StringArray::from(vec!["7"; 2]));
    let wrong = [vec![], vec![numbers(2), numbers(2)], vec![numbers(1)], vec![numbers(3)], vec![texts]];
    let rows = [(Some(1), None, 5), (Some(2), None, 6)];
    for answer in wrong {
        let column =
            |values: [Option<i64>; 2]| -> Option<ArrayRef> { Some(Arc::new(Int64Array::from(values.to_vec()))) };
        let b: ArrayRef = Arc::new(arrow_array::StringArray::from(vec![None::<&str>; 2]));
        let columns = [column([Some(1), Some(2)]), Some(b), column([Some(5), Some(6)])];
        let mut fold = fold();
        let refused = fold.accumulate(&mut misanswers(Call::Accumulate, &answer), 2, &columns);
        assert!(matches!(refused, Err(FoldError::Operator(OperatorError::Contract(_)))), "{refused:?} of {answer:?}");
        assert_eq!(fold.size(), (0, 0));
        add(&mut fold, &rows).unwrap();
        let refused = fold.seal(&mut misanswers(Call::Emit, &answer), 1);
        assert!(matches!(refused, Err(FoldError::Operator(OperatorError::Contract(_)))), "{refused:?} of {answer:?}");
        let new = fold_of(sum().version(2)).adopt(fold, &mut misanswers(Call::Migrate, &answer));
        let Err((mut fold, _)) = new else { panic!("{answer:?} is no migration") };
        assert_eq!(changed(&mut fold), naive(&rows), "all still counts as changed");
    }
}

#[test]
fn states_of_other_keys_or_columns_are_not_taken_over_with_both_named() {
    let form = |keys: &[&str], columns: &[&str]| StateForm {
        keys: keys.iter().map(|name| Field::new(*name, Kind::Int64)).collect(),
        version: 1,
        columns: columns.iter().map(|name| Field::new(*name, Kind::Utf8)).collect(),
        window: None,
    };
    let keys = fit(&form(&["a", "b"], &["x"]), &form(&["c"], &["x"])).unwrap_err();
    let columns = fit(&form(&["a"], &["x", "y"]), &form(&["a"], &["z"])).unwrap_err();
    let named = |fields: &[&str], kind: Kind| {
        fields.iter().map(|name| Field::new(*name, kind).to_string()).collect::<Vec<_>>().join(", ")
    };
    for (sentence, lists, kind) in
        [(keys, [&["a", "b"][..], &["c"]], Kind::Int64), (columns, [&["x", "y"], &["z"]], Kind::Utf8)]
    {
        for fields in lists {
            assert!(sentence.contains(&format!("({})", named(fields, kind))), "{sentence}");
        }
    }
    assert_eq!(fit(&form(&["a"], &["x"]), &form(&["a"], &["x"])), Ok(Fit::Same));
}
