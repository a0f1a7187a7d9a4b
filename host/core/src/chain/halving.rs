//! Rows that make an operator fail, found by halving.
//!
//! A call that spends its instance is made again by a fresh one: what the old one had gathered in its life is no fault of the
//! rows. If it fails again, it is made on each half of its rows, each time by a fresh instance, until a single row is left to
//! blame. An operator that fails because a call is too large for its limits so gets smaller calls, and no row is blamed.
//!
//! A call that is interrupted, as the pipeline ends, ends the search: nothing of the batch is kept, and nobody is blamed.
//!
//! During a trial it is the operator that is to blame, and no row. Where most of a batch is to blame, or finding the rows costs too
//! much, it isn't the rows either: the operator is at fault.

use std::ops::Range;

use arrow_array::ArrayRef;
use arrow_select::concat::concat;

use super::answer::check;
use crate::operator::{
    Columns, FoldPlan, Interrupt, Operator, OperatorError, Produced, Rejection, TransformPlan, on_a_fresh_one,
};
use crate::schema::Field;

/// Most that the failed calls of one batch may cost together. Less: a few bad rows in a full batch (13 failed calls for each)
/// disable the operator. More: an operator that fails on every row holds the batch up for longer before it is disabled.
const MAX_COST: usize = 2_048;

/// Cost of a call that exceeds a limit. It may have run for a second or more, where a trap takes microseconds: the pipeline is
/// deaf for 32 such calls at most.
const COST_OF_A_LIMIT: usize = 64;

/// Share of a batch that may be at fault: one row of so many. More rows than that are no accident of the data, and an operator
/// that would leave out most of its rows does less harm while it is disabled. Less than half: a producer's bad hour would disable
/// a good operator.
const SHARE_AT_FAULT: usize = 2;

/// Number of rows of a batch that may be at fault whatever its size: the only row of a batch is no large share of anything.
pub const ALWAYS_AT_FAULT: usize = 32;

/// Returns the number of rows that may be at fault in a batch of `rows` rows; with more of them, the operator itself is at fault.
fn most_at_fault(rows: usize) -> usize {
    (rows / SHARE_AT_FAULT).max(ALWAYS_AT_FAULT)
}

/// Cost of the failed calls of this batch.
#[derive(Debug, Default)]
pub(super) struct Spent {
    cost: usize,
    on_trial: bool,
}

impl Spent {
    /// Makes a cost of zero, for an operator that may be on trial.
    pub(super) fn nothing(on_trial: bool) -> Spent {
        Spent { cost: 0, on_trial }
    }

    /// Counts one more failed call; returns false if that is one too many.
    fn afford(&mut self, error: &OperatorError) -> bool {
        self.cost += if matches!(error, OperatorError::Limit(_)) { COST_OF_A_LIMIT } else { 1 };
        self.cost <= MAX_COST
    }
}

/// Wrapper of an operator that leaves out the rows on which the operator fails: `process` rejects them, `accumulate` names them
/// in [`OperatorError::Rows`] and keeps nothing. With any other error the operator itself is at fault.
pub(super) struct Halving<'a> {
    operator: &'a mut dyn Operator,
    spent: &'a mut Spent,
}

impl<'a> Halving<'a> {
    pub(super) fn new(operator: &'a mut dyn Operator, spent: &'a mut Spent) -> Halving<'a> {
        Halving { operator, spent }
    }

    /// Makes the call on all rows, or on parts of them that it doesn't fail on; answers the rows that it fails on.
    fn by_halves(
        &mut self,
        rows: usize,
        mut call: impl FnMut(&mut dyn Operator, Range<usize>) -> Result<(), OperatorError>,
    ) -> Result<Vec<Rejection>, OperatorError> {
        let (mut at_fault, most) = (Vec::new(), most_at_fault(rows));
        // The next part is the last.
        let mut parts: Vec<Range<usize>> = std::iter::once(0..rows).collect();
        let (mut failed, mut fresh) = (false, false);
        while let Some(part) = parts.pop() {
            if failed && !fresh {
                self.operator.renew()?;
            }
            let Err(error) = call(self.operator, part.clone()) else {
                fresh = false;
                continue;
            };
            // Fewer rows may find room in the host, which says nothing of the others.
            let is_full = failed && matches!(error, OperatorError::NoRoom(_));
            if is_full || error == OperatorError::Interrupted || !self.spent.afford(&error) {
                return Err(error);
            }
            self.operator.renew()?;
            fresh = true;
            let had_a_past = !std::mem::replace(&mut failed, true);
            if had_a_past && error.spends() {
                parts.push(part);
            } else if self.spent.on_trial {
                return Err(error);
            } else if part.len() > 1 {
                let middle = part.start + part.len() / 2;
                parts.extend([middle..part.end, part.start..middle]);
            } else if at_fault.len() < most {
                // A batch has far fewer rows than u32::MAX.
                at_fault.push(Rejection { row: part.start as u32, reason: error.to_string() });
            } else {
                return Err(error);
            }
        }
        Ok(at_fault)
    }
}

impl Operator for Halving<'_> {
    fn transform_plan(&self) -> &TransformPlan {
        self.operator.transform_plan()
    }

    fn fold_plan(&self) -> Option<&FoldPlan> {
        self.operator.fold_plan()
    }

    fn process(&mut self, input: Columns<'_>) -> Result<Produced, OperatorError> {
        let mut made = Vec::new();
        let at_fault = self.by_halves(input.rows, |operator, part| {
            let arrays = sliced(input, &part);
            let produced = operator.process(Columns { rows: part.len(), arrays: &arrays })?;
            check(operator.transform_plan(), &produced, part.len())?;
            made.push((part, produced));
            Ok(())
        })?;
        match made.pop() {
            Some((part, whole)) if part.len() == input.rows => Ok(whole),
            last => joined(made.into_iter().chain(last).collect(), self.transform_plan(), at_fault),
        }
    }

    fn accumulate(
        &mut self,
        groups: &[i32],
        values: Columns<'_>,
        states: Columns<'_>,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let mut after = states.arrays.to_vec();
        let at_fault = self.by_halves(values.rows, |operator, part| {
            let arrays = sliced(values, &part);
            let values = Columns { rows: part.len(), arrays: &arrays };
            after = operator.accumulate(&groups[part], values, Columns { rows: states.rows, arrays: &after })?;
            Ok(())
        })?;
        if at_fault.is_empty() { Ok(after) } else { Err(OperatorError::Rows(at_fault)) }
    }

    fn merge(&mut self, left: Columns<'_>, right: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        on_a_fresh_one(self.operator, |operator| operator.merge(left, right))
    }

    fn emit(&mut self, states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        on_a_fresh_one(self.operator, |operator| operator.emit(states))
    }

    fn migrate(&mut self, version: u32, state: &[Field], states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        on_a_fresh_one(self.operator, |operator| operator.migrate(version, state, states))
    }

    fn interrupted_by(&mut self, interrupt: &Interrupt) {
        self.operator.interrupted_by(interrupt);
    }

    fn renew(&mut self) -> Result<(), OperatorError> {
        self.operator.renew()
    }
}

fn sliced(columns: Columns<'_>, part: &Range<usize>) -> Vec<ArrayRef> {
    columns.arrays.iter().map(|array| array.slice(part.start, part.len())).collect()
}

/// Joins the answers to the parts into the answer to the whole; the rows `at_fault` are rejected.
pub fn joined(
    parts: Vec<(Range<usize>, Produced)>,
    plan: &TransformPlan,
    at_fault: Vec<Rejection>,
) -> Result<Produced, OperatorError> {
    let kinds = plan.outputs.iter().filter_map(|(_, origin)| origin.computed());
    let columns = kinds.enumerate().map(|(i, kind)| {
        let parts: Vec<ArrayRef> = parts.iter().filter_map(|(_, produced)| produced.columns.get(i).cloned()).collect();
        if parts.is_empty() {
            return Ok(arrow_array::new_empty_array(&kind.data_type()));
        }
        let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
        concat(&parts).map_err(|e| OperatorError::Contract(format!("`process` answered unlike columns: {e}")))
    });
    let columns = columns.collect::<Result<_, _>>()?;
    let (mut rows, mut selection, mut rejected) = (0, Vec::new(), at_fault);
    for (part, produced) in parts {
        // A batch has far fewer rows than i32::MAX, and what an answer says of its rows was checked.
        let start = part.start as i32;
        rows += produced.rows;
        match produced.selection {
            Some(picked) => selection.extend(picked.into_iter().map(|row| row + start)),
            None => selection.extend(start..start + produced.rows as i32),
        }
        let moved = |rejection: Rejection| Rejection { row: rejection.row + start as u32, ..rejection };
        rejected.extend(produced.rejected.into_iter().map(moved));
    }
    Ok(Produced { rows, columns, selection: Some(selection), rejected })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use arrow_array::{Array, Int64Array};
    use proptest::prelude::*;

    use super::*;
    use crate::operator::Origin;
    use crate::schema::Kind;

    /// Doubles even numbers, drops odd ones, rejects 0; adds them up by group. It fails on a call with a negative number or with
    /// more rows than it takes, and then on every call until it is renewed.
    struct Fragile {
        transform: TransformPlan,
        fold: FoldPlan,
        takes: usize,
        full: bool,
        spent: bool,
        calls: usize,
    }

    impl Fragile {
        fn new(takes: usize) -> Fragile {
            let fields = vec![Field::new("sum", Kind::Int64)];
            Fragile {
                transform: TransformPlan {
                    reads: vec![0],
                    outputs: vec![("n".to_owned(), Origin::Computed(Kind::Int64))],
                },
                fold: FoldPlan {
                    keys: vec![],
                    values: vec![0],
                    state: fields.clone(),
                    state_version: 1,
                    outputs: fields,
                },
                takes,
                full: false,
                spent: false,
                calls: 0,
            }
        }

        fn numbers(&mut self, columns: Columns<'_>) -> Result<Vec<i64>, OperatorError> {
            self.calls += 1;
            let numbers = columns.arrays[0].as_primitive::<Int64Type>().values().to_vec();
            assert_eq!(numbers.len(), columns.rows);
            self.spent |= numbers.iter().any(|n| *n < 0) || numbers.len() > self.takes;
            match (self.spent, self.full) {
                (false, _) => Ok(numbers),
                (true, false) => Err(OperatorError::Trap("fragile".to_owned())),
                (true, true) => Err(OperatorError::NoRoom("no room".to_owned())),
            }
        }
    }

    impl Operator for Fragile {
        fn transform_plan(&self) -> &TransformPlan {
            &self.transform
        }
        fn fold_plan(&self) -> Option<&FoldPlan> {
            Some(&self.fold)
        }
        fn process(&mut self, input: Columns<'_>) -> Result<Produced, OperatorError> {
            let numbers = self.numbers(input)?;
            let rows = |fits: fn(&i64) -> bool| {
                (0i32..).zip(&numbers).filter(move |(_, n)| fits(n)).map(|(row, n)| (row, *n)).collect::<Vec<_>>()
            };
            let (kept, zeros) = (rows(|n| *n != 0 && n % 2 == 0), rows(|n| *n == 0));
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(kept.iter().map(|(_, n)| n * 2)));
            let reject = |(row, _): (i32, i64)| Rejection { row: row as u32, reason: "zero".to_owned() };
            Ok(Produced {
                rows: kept.len(),
                columns: vec![column],
                selection: Some(kept.into_iter().map(|(row, _)| row).collect()),
                rejected: zeros.into_iter().map(reject).collect(),
            })
        }
        fn accumulate(
            &mut self,
            groups: &[i32],
            values: Columns<'_>,
            states: Columns<'_>,
        ) -> Result<Vec<ArrayRef>, OperatorError> {
            let numbers = self.numbers(values)?;
            let mut sums = states.arrays[0].as_primitive::<Int64Type>().values().to_vec();
            groups.iter().zip(numbers).for_each(|(group, n)| sums[*group as usize] += n);
            Ok(vec![Arc::new(Int64Array::from(sums))])
        }
        fn merge(&mut self, _: Columns<'_>, _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
            unreachable!("nothing merges")
        }
        fn emit(&mut self, _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
            unreachable!("nothing emits")
        }
        fn renew(&mut self) -> Result<(), OperatorError> {
            self.spent = false;
            Ok(())
        }
    }

    fn column(numbers: &[i64]) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(numbers.to_vec()))]
    }

    proptest! {
        #[test]
        fn every_row_but_those_that_the_operator_fails_on_is_processed_as_if_they_were_not_there(
            numbers in prop::collection::vec(prop_oneof![9 => 0i64..100, 1 => Just(-1i64)], 1..200),
            takes in 1usize..250,
        ) {
            let (mut fragile, mut spent) = (Fragile::new(takes), Spent::default());
            let arrays = column(&numbers);
            let answer =
                Halving::new(&mut fragile, &mut spent).process(Columns { rows: numbers.len(), arrays: &arrays }).unwrap();
            let rows = |fits: fn(i64) -> bool| {
                numbers.iter().enumerate().filter(move |(_, n)| fits(**n)).map(|(row, _)| row as i32).collect::<Vec<_>>()
            };
            let kept = rows(|n| n > 0 && n % 2 == 0);
            let doubled: Vec<i64> = kept.iter().map(|row| numbers[*row as usize] * 2).collect();
            prop_assert_eq!(answer.rows, kept.len());
            prop_assert_eq!(answer.columns[0].as_primitive::<Int64Type>().values().to_vec(), doubled);
            prop_assert_eq!(answer.selection.unwrap(), kept);
            let mut rejected: Vec<i32> = answer.rejected.iter().map(|rejection| rejection.row as i32).collect();
            rejected.sort_unstable();
            prop_assert_eq!(rejected, rows(|n| n <= 0));
        }

        #[test]
        fn what_is_accumulated_is_all_of_the_call_or_nothing_and_then_the_rows_at_fault_are_named(
            rows in prop::collection::vec((0i32..3, prop_oneof![19 => 0i64..100, 1 => Just(-1i64)]), 1..200),
            takes in 1usize..250,
        ) {
            let (groups, numbers): (Vec<i32>, Vec<i64>) = rows.iter().copied().unzip();
            let (mut fragile, mut spent) = (Fragile::new(takes), Spent::default());
            let (values, states) = (column(&numbers), column(&[1, 2, 3]));
            let answer = Halving::new(&mut fragile, &mut spent).accumulate(
                &groups,
                Columns { rows: numbers.len(), arrays: &values },
                Columns { rows: 3, arrays: &states },
            );
            let bad: Vec<u32> = (0u32..).zip(&numbers).filter(|(_, n)| **n < 0).map(|(row, _)| row).collect();
            match answer {
                Ok(after) => {
                    prop_assert!(bad.is_empty());
                    let mut sums = vec![1, 2, 3];
                    rows.iter().for_each(|(group, n)| sums[*group as usize] += n);
                    prop_assert_eq!(after[0].as_primitive::<Int64Type>().values().to_vec(), sums);
                }
                Err(OperatorError::Rows(at_fault)) => {
                    prop_assert_eq!(at_fault.iter().map(|rejection| rejection.row).collect::<Vec<_>>(), bad);
                    prop_assert!(!at_fault.is_empty());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_call_that_does_not_fail_is_made_once() {
        let (mut fragile, mut spent) = (Fragile::new(100), Spent::default());
        let arrays = column(&[2; 100]);
        Halving::new(&mut fragile, &mut spent).process(Columns { rows: 100, arrays: &arrays }).unwrap();
        assert_eq!(fragile.calls, 1);
    }

    #[test]
    fn during_a_trial_an_operator_that_fails_twice_is_to_blame() {
        let (mut fragile, mut spent) = (Fragile::new(100), Spent::nothing(true));
        let arrays = column(&[2, -1, 2]);
        let answer = Halving::new(&mut fragile, &mut spent).process(Columns { rows: 3, arrays: &arrays });
        assert!(matches!(answer, Err(OperatorError::Trap(_))));
        assert_eq!(fragile.calls, 2);
    }

    #[test]
    fn a_host_without_room_blames_no_row() {
        let (mut fragile, mut spent) = (Fragile { full: true, ..Fragile::new(2) }, Spent::default());
        let arrays = column(&[2, -1, 2, 2]);
        let answer = Halving::new(&mut fragile, &mut spent).process(Columns { rows: 4, arrays: &arrays });
        assert!(matches!(answer, Err(OperatorError::NoRoom(_))));
        assert_eq!(fragile.calls, 2);
    }

    #[test]
    fn an_instance_that_has_had_enough_is_replaced_and_no_row_is_blamed() {
        let (mut fragile, mut spent) = (Fragile::new(100), Spent::default());
        fragile.spent = true;
        let arrays = column(&[2]);
        let answer = Halving::new(&mut fragile, &mut spent).process(Columns { rows: 1, arrays: &arrays }).unwrap();
        assert_eq!((answer.rows, answer.rejected, fragile.calls), (1, vec![], 2));
    }

    #[test]
    fn an_operator_that_fails_on_most_of_a_batch_is_at_fault_and_on_as_many_as_it_may_the_rows_are() {
        for (rows, bad, blamed) in [(32, 32, true), (33, 33, false), (100, 50, true), (100, 51, false)] {
            let numbers: Vec<i64> = (0..rows).map(|row| if row < bad { -1 } else { 2 }).collect();
            let (mut fragile, mut spent, arrays) = (Fragile::new(100), Spent::default(), column(&numbers));
            let answer =
                Halving::new(&mut fragile, &mut spent).process(Columns { rows: numbers.len(), arrays: &arrays });
            match answer {
                Ok(produced) => assert!(blamed && produced.rejected.len() == bad as usize, "{rows} {bad}"),
                Err(error) => assert!(!blamed && matches!(error, OperatorError::Trap(_)), "{rows} {bad}: {error}"),
            }
        }
    }

    #[test]
    fn an_operator_that_always_fails_is_given_up_after_a_bounded_number_of_calls() {
        let (mut fragile, mut spent) = (Fragile::new(0), Spent::default());
        let arrays = column(&[2; 60_000]);
        let answer = Halving::new(&mut fragile, &mut spent).process(Columns { rows: 60_000, arrays: &arrays });
        assert!(matches!(answer, Err(OperatorError::Trap(_))));
        assert_eq!(fragile.calls, MAX_COST + 1);
        assert_eq!(arrays[0].len(), 60_000);
    }

    #[test]
    fn an_operator_that_migrates_nothing_refuses_states_of_another_version() {
        let (mut fragile, mut spent) = (Fragile::new(1), Spent::default());
        let answer = Halving::new(&mut fragile, &mut spent).migrate(1, &[], Columns { rows: 0, arrays: &[] });
        assert_eq!(answer.unwrap_err(), OperatorError::Refused("it takes no states of version 1".to_owned()));
    }

    /// Fails on every row, and is interrupted at this call.
    struct Interrupted(Fragile, usize);

    impl Operator for Interrupted {
        fn transform_plan(&self) -> &TransformPlan {
            self.0.transform_plan()
        }
        fn process(&mut self, input: Columns<'_>) -> Result<Produced, OperatorError> {
            let answer = self.0.process(input);
            if self.0.calls < self.1 { answer } else { Err(OperatorError::Interrupted) }
        }
        fn fold_plan(&self) -> Option<&FoldPlan> {
            self.0.fold_plan()
        }
        fn accumulate(&mut self, _: &[i32], _: Columns<'_>, _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
            unreachable!("nothing accumulates")
        }
        fn merge(&mut self, _: Columns<'_>, _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
            unreachable!("nothing merges")
        }
        fn emit(&mut self, _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
            unreachable!("nothing emits")
        }
        fn renew(&mut self) -> Result<(), OperatorError> {
            self.0.renew()
        }
    }

    #[test]
    fn a_call_that_is_interrupted_ends_the_search_and_nobody_is_blamed() {
        for last in [1, 2, 7] {
            let (mut operator, mut spent) = (Interrupted(Fragile::new(0), last), Spent::default());
            let arrays = column(&[2; 100]);
            let answer = Halving::new(&mut operator, &mut spent).process(Columns { rows: 100, arrays: &arrays });
            assert_eq!(answer.unwrap_err(), OperatorError::Interrupted);
            assert_eq!(operator.0.calls, last);
        }
    }
}
