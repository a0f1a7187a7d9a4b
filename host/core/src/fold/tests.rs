//! Laws of grouping: equal to a naive fold, however the rows are cut into batches.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::Int64Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use proptest::prelude::*;

use super::*;
use crate::operator::{Produced, TransformPlan};

/// Adds numbers up, natively.
struct Sum {
    transform: TransformPlan,
    fold: FoldPlan,
}

fn sum() -> Sum {
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
        let mut sums: Vec<Option<i64>> = states.arrays[0].as_primitive::<Int64Type>().iter().collect();
        for (group, value) in groups.iter().zip(values.arrays[0].as_primitive::<Int64Type>()) {
            let sum = &mut sums[usize::try_from(*group).unwrap()];
            let added = sum.unwrap_or(0).checked_add(value.unwrap_or(0));
            *sum = Some(added.ok_or_else(|| OperatorError::Refused("overflow".to_owned()))?);
        }
        Ok(vec![Arc::new(Int64Array::from(sums))])
    }
    fn merge(&mut self, left: Columns<'_>, _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        Ok(left.arrays.to_vec())
    }
    fn emit(&mut self, states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        Ok(states.arrays.to_vec())
    }
}

type Row = (Option<i64>, Option<String>, i64);
type Totals = BTreeMap<(Option<i64>, Option<String>), i64>;

fn fold() -> Fold {
    let input = [Field::new("a", Kind::Int64), Field::new("b", Kind::Utf8), Field::new("v", Kind::Int64)];
    Fold::new(sum().fold, &input).unwrap()
}

fn add(fold: &mut Fold, rows: &[Row]) -> Result<(), FoldError> {
    let a: Int64Array = rows.iter().map(|row| row.0).collect();
    let b: arrow_array::StringArray = rows.iter().map(|row| row.1.clone()).collect();
    let v: Int64Array = rows.iter().map(|row| Some(row.2)).collect();
    let columns: [Option<ArrayRef>; 3] = [Some(Arc::new(a)), Some(Arc::new(b)), Some(Arc::new(v))];
    fold.accumulate(&mut sum(), rows.len(), &columns)
}

fn changed(fold: &mut Fold) -> Totals {
    let mut totals = Totals::new();
    for emitted in fold.emit_changed(&mut sum()).unwrap() {
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
fn states_are_taken_over_only_by_a_fold_of_the_same_form() {
    let mut old = fold();
    add(&mut old, &[(Some(1), None, 5)]).unwrap();
    let mut plan = sum().fold;
    plan.state_version = 2;
    let input = [Field::new("a", Kind::Int64), Field::new("b", Kind::Utf8), Field::new("v", Kind::Int64)];
    let (old, reason) = Fold::new(plan, &input).unwrap().adopt(old).unwrap_err();
    assert!(reason.contains("state version is 2, the running one's 1"), "{reason}");
    let mut same = fold();
    same.adopt(*old).unwrap();
    same.touch_all();
    assert_eq!(changed(&mut same), Totals::from([((Some(1), None), 5)]));
}
