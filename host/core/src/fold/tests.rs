//! Laws of grouping: equal to a naive fold, however the rows are cut into batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, Int64Array};
use proptest::prelude::*;

use super::*;
use crate::checkpoint::memory::MemoryStore;
use crate::checkpoint::{Changes, Checkpoint, CheckpointStore, Group};
use crate::operator::{Produced, TransformPlan};
use crate::rows::Rows;

/// Adds numbers up, natively.
pub(super) struct Sum {
    transform: TransformPlan,
    pub(super) fold: FoldPlan,
}

pub(super) fn sum() -> Sum {
    let field = Field::new("sum", Kind::Int64);
    let outputs = vec![field.clone()];
    let fold = FoldPlan { keys: vec![0, 1], values: vec![2], state: vec![field], state_version: 1, outputs };
    Sum { transform: TransformPlan { reads: vec![], outputs: vec![] }, fold }
}

impl Operator for Sum {
    fn transform_plan(&self) -> &TransformPlan {
        &self.transform
    }
    fn fold_plan(&self) -> Option<&FoldPlan> {
        Some(&self.fold)
    }
    fn process(&mut self, _: Columns<'_>) -> Result<Produced, OperatorError> {
        Err(OperatorError::Refused("not a transform".to_owned()))
    }
    fn accumulate(
        &mut self,
        groups: &[i32],
        values: Columns<'_>,
        states: Columns<'_>,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        assert!(values.rows > 0, "it is not called for nothing");
        assert_eq!(
            (groups.len(), values.arrays[0].len()),
            (values.rows, values.rows),
            "a value and a group for each row"
        );
        assert_eq!(states.arrays[0].len(), states.rows);
        let mut sums: Vec<Option<i64>> = states.arrays[0].as_primitive::<Int64Type>().iter().collect();
        for (group, value) in groups.iter().zip(values.arrays[0].as_primitive::<Int64Type>()) {
            let sum = &mut sums[usize::try_from(*group).unwrap()];
            let added = sum.unwrap_or(0).checked_add(value.unwrap_or(0));
            *sum = Some(added.ok_or_else(|| OperatorError::Refused("overflow".to_owned()))?);
        }
        Ok(vec![Arc::new(Int64Array::from(sums))])
    }
    fn merge(&mut self, left: Columns<'_>, right: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        let states = [left, right].map(|states| states.arrays[0].null_count());
        assert_eq!(states, [0, 0], "there is no state of nothing to be merged");
        let groups: Vec<i32> = (0i32..).take(left.rows).collect();
        self.accumulate(&groups, right, left)
    }
    fn emit(&mut self, states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        Ok(states.arrays.to_vec())
    }
}

pub(super) type Row = (Option<i64>, Option<String>, i64);
pub(super) type Totals = BTreeMap<(Option<i64>, Option<String>), i64>;

pub(super) fn fold() -> Fold {
    let input = [Field::new("a", Kind::Int64), Field::new("b", Kind::Utf8), Field::new("v", Kind::Int64)];
    Fold::new(sum().fold, &input).unwrap()
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
    let mut plan = sum().fold;
    plan.state_version = 2;
    let input = [Field::new("a", Kind::Int64), Field::new("b", Kind::Utf8), Field::new("v", Kind::Int64)];
    let Err((old, reason)) = Fold::new(plan, &input).unwrap().adopt(old, &mut sum()) else { panic!("no migration") };
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

/// One flush, as its keeper does it: what was emitted counts once the store has it.
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
    fold.set_time(1_101);
    fold.touch_all();
    while fold.is_refreshing() {
        fold.refresh(&mut sum()).unwrap();
    }
    add(&mut fold, &[(Some(1), None, 1)]).unwrap();
    assert_eq!(changed(&mut fold), Totals::from([((Some(1), None), 1)]));
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

/// Adds up, and answers something else than planned to one call.
struct Misanswers(Sum, &'static str, Vec<ArrayRef>);

impl Operator for Misanswers {
    fn transform_plan(&self) -> &TransformPlan {
        self.0.transform_plan()
    }
    fn fold_plan(&self) -> Option<&FoldPlan> {
        self.0.fold_plan()
    }
    fn process(&mut self, input: Columns<'_>) -> Result<Produced, OperatorError> {
        self.0.process(input)
    }
    fn accumulate(
        &mut self,
        groups: &[i32],
        values: Columns<'_>,
        states: Columns<'_>,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        if self.1 == "accumulate" { Ok(self.2.clone()) } else { self.0.accumulate(groups, values, states) }
    }
    fn merge(&mut self, left: Columns<'_>, right: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        self.0.merge(left, right)
    }
    fn emit(&mut self, states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        if self.1 == "emit" { Ok(self.2.clone()) } else { self.0.emit(states) }
    }
    fn migrate(&mut self, _: u32, _: &[Field], _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        Ok(self.2.clone())
    }
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
        let refused = fold.accumulate(&mut Misanswers(sum(), "accumulate", answer.clone()), 2, &columns);
        assert!(matches!(refused, Err(FoldError::Operator(OperatorError::Contract(_)))), "{refused:?} of {answer:?}");
        assert_eq!(fold.size(), (0, 0));
        add(&mut fold, &rows).unwrap();
        let refused = fold.seal(&mut Misanswers(sum(), "emit", answer.clone()), 1);
        assert!(matches!(refused, Err(FoldError::Operator(OperatorError::Contract(_)))), "{refused:?} of {answer:?}");
        let plan = FoldPlan { state_version: 2, ..sum().fold };
        let input = [Field::new("a", Kind::Int64), Field::new("b", Kind::Utf8), Field::new("v", Kind::Int64)];
        let new = Fold::new(plan, &input).unwrap().adopt(fold, &mut Misanswers(sum(), "migrate", answer.clone()));
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
