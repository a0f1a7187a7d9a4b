//! Tests of records at fault in a chain: they leave no trace, and the other records count as if the bad ones had not been there.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array};
use proptest::prelude::*;

use super::*;
use crate::decode::Origin as From;
use crate::interval::{Interval, Offset, Partition};
use crate::operator::{Columns, FoldPlan, Origin, Produced, Rejection, TransformPlan};
use crate::testing::{Call, Sum};

/// Sort of a record, which decides how the chain treats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Good,
    /// The record is not a JSON object.
    Malformed,
    /// The transform rejects the second of its rows.
    Rejected,
    /// The transform traps on it.
    Trap,
    /// The fold refuses its second row.
    Unfoldable,
}

const SORTS: [Sort; 5] = [Sort::Good, Sort::Malformed, Sort::Rejected, Sort::Trap, Sort::Unfoldable];

/// Records that hold a number, and a code of what they are.
struct Mixed(Vec<(i64, Sort, Vec<u8>)>);

impl Mixed {
    fn new(records: &[(i64, Sort)]) -> Mixed {
        let text = |n: i64, sort| match sort {
            Sort::Malformed => b"{".to_vec(),
            _ => format!("{{\"n\":{n},\"code\":{}}}", sort as i64).into_bytes(),
        };
        Mixed(records.iter().map(|(n, sort)| (*n, *sort, text(*n, *sort))).collect())
    }

    /// The sum of the numbers of those before this record that are good; each counts twice.
    fn sum(&self, before: usize) -> Option<i64> {
        let good: Vec<i64> = self.0[..before].iter().filter(|(_, sort, _)| *sort == Sort::Good).map(|r| r.0).collect();
        (!good.is_empty()).then(|| good.iter().sum::<i64>() * 2)
    }
}

impl Records for Mixed {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn topic(&self) -> &str {
        "mixed"
    }
    fn value(&self, i: usize) -> Option<&[u8]> {
        Some(&self.0[i].2)
    }
    fn key(&self, _: usize) -> Option<&[u8]> {
        None
    }
    fn position(&self, i: usize) -> (Partition, Offset) {
        (Partition(0), Offset(0).advanced(i))
    }
    fn timestamp(&self, _: usize) -> Option<i64> {
        None
    }
    fn intervals(&self) -> &[(Partition, Interval)] {
        &[]
    }
}

fn numbers(array: &ArrayRef) -> Vec<Option<i64>> {
    array.as_primitive::<Int64Type>().iter().collect()
}

/// Makes each row two. Spent by a trap until it is renewed, as an instance is.
struct Twice {
    plan: TransformPlan,
    spent: bool,
}

impl Twice {
    fn new() -> Twice {
        let outputs = vec![("n".to_owned(), Origin::Input(0)), ("code".to_owned(), Origin::Computed(Kind::Int64))];
        Twice { plan: TransformPlan { reads: vec![1], outputs }, spent: false }
    }

    fn pairs(&mut self, input: Columns<'_>) -> Result<Produced, OperatorError> {
        let codes: Vec<i64> = numbers(&input.arrays[0]).into_iter().flatten().collect();
        self.spent |= codes.contains(&(Sort::Trap as i64));
        if self.spent {
            return Err(OperatorError::Trap("unreachable".to_owned()));
        }
        let (mut selection, mut column, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
        for (row, code) in codes.iter().enumerate() {
            // The second of a pair is told by its sign.
            let rows = if *code == Sort::Rejected as i64 { vec![*code] } else { vec![*code, -code] };
            if rows.len() == 1 {
                rejected.push(Rejection { row: row as u32, reason: "rejected".to_owned() });
            }
            selection.extend(rows.iter().map(|_| row as i32));
            column.extend(rows);
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(column))];
        Ok(Produced { rows: selection.len(), columns, selection: Some(selection), rejected })
    }
}

impl Operator for Twice {
    fn transform_plan(&self) -> &TransformPlan {
        &self.plan
    }
    fn fold_plan(&self) -> Option<&FoldPlan> {
        None
    }
    fn process(&mut self, input: Columns<'_>) -> Result<Produced, OperatorError> {
        self.pairs(input)
    }
    fn accumulate(&mut self, _: &[i32], _: Columns<'_>, _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        unreachable!("it has no fold")
    }
    fn merge(&mut self, _: Columns<'_>, _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        unreachable!("it has no fold")
    }
    fn emit(&mut self, _: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        unreachable!("it has no fold")
    }
    fn renew(&mut self) -> Result<(), OperatorError> {
        self.spent = false;
        Ok(())
    }
}

/// Adds up `n`, and refuses what it can't fold. What it was given since it was made shows what the chain kept.
fn adder() -> Sum {
    Sum::new(&["n", "code"], &[], &[0, 1]).hooked(|call, columns| {
        let refused =
            call == Call::Accumulate && numbers(&columns.arrays[1]).contains(&Some(-(Sort::Unfoldable as i64)));
        if refused { Err(OperatorError::Refused("too much".to_owned())) } else { Ok(None) }
    })
}

fn chain(record: AtFault, row: AtFault) -> Chain {
    let column =
        |name: &str| SourceColumn { field: Field::new(name, Kind::Int64), origin: From::Field(name.to_owned()) };
    let step = |operator: Box<dyn Operator>| Step::Operator { name: "o".to_owned(), instance: operator };
    let steps = vec![step(Box::new(Twice::new())), step(Box::new(adder()))];
    let mut chain = Chain::new(&[column("n"), column("code")], DecodeOptions::default(), steps).unwrap();
    chain.when_bad(record, row);
    chain
}

/// Returns the fold's sum, by showing all of its groups.
fn sum(chain: &mut Chain) -> Option<i64> {
    chain.fold_mut().unwrap().touch_all();
    chain.refresh().unwrap();
    let emitted = chain.seal(1).unwrap().rows;
    emitted.first().and_then(|emitted| numbers(&emitted.columns[0])[0])
}

fn stage(sort: Sort) -> Stage {
    match sort {
        Sort::Malformed => Stage::Decode,
        Sort::Unfoldable => Stage::Step(1),
        _ => Stage::Step(0),
    }
}

fn records() -> impl Strategy<Value = Vec<(i64, Sort)>> {
    let sort = prop_oneof![12 => Just(Sort::Good), 2 => prop::sample::select(SORTS.to_vec())];
    prop::collection::vec((0i64..100, sort), 0..80)
}

proptest! {
    #[test]
    fn left_out_records_are_named_once_and_leave_nothing_behind(records in records(), batch in 1usize..40) {
        let records = Mixed::new(&records);
        let mut chain = chain(AtFault::IsLeftOut, AtFault::IsLeftOut);
        let (mut start, mut rejected) = (0, BTreeMap::new());
        while start < records.len() {
            let outcome = chain.process(&records, start, batch).unwrap();
            prop_assert_eq!(&outcome.stopped, &None);
            prop_assert_eq!(outcome.next, records.len().min(start + batch));
            for row in outcome.rejected {
                prop_assert!(rejected.insert(row.record, row.stage).is_none());
            }
            start = outcome.next;
        }
        let bad = records.0.iter().enumerate().filter(|(_, r)| r.1 != Sort::Good).map(|(i, r)| (i, stage(r.1)));
        prop_assert_eq!(rejected, bad.collect());
        prop_assert_eq!(sum(&mut chain), records.sum(records.len()));
    }

    #[test]
    fn a_record_that_stops_is_named_and_exactly_those_before_it_are_kept(records in records()) {
        let records = Mixed::new(&records);
        let mut chain = chain(AtFault::Stops, AtFault::Stops);
        let outcome = chain.process(&records, 0, usize::MAX).unwrap();
        let first = records.0.iter().position(|r| r.1 != Sort::Good);
        prop_assert_eq!(outcome.next, first.unwrap_or(records.len()));
        prop_assert_eq!(outcome.stopped.map(|bad| bad.offset), first.map(|first| Offset(0).advanced(first)));
        prop_assert_eq!(outcome.rejected, []);
        prop_assert_eq!(sum(&mut chain), records.sum(outcome.next));
    }
}

#[test]
fn unless_told_otherwise_a_malformed_record_stops_and_a_bad_row_does_not() {
    let column =
        |name: &str| SourceColumn { field: Field::new(name, Kind::Int64), origin: From::Field(name.to_owned()) };
    let instance: Box<dyn Operator> = Box::new(Twice::new());
    let steps = vec![Step::Operator { name: "o".to_owned(), instance }];
    let mut chain = Chain::new(&[column("n"), column("code")], DecodeOptions::default(), steps).unwrap();
    let records = Mixed::new(&[(1, Sort::Rejected), (2, Sort::Good), (3, Sort::Malformed), (4, Sort::Good)]);
    let outcome = chain.process(&records, 0, 100).unwrap();
    assert_eq!(outcome.rejected.len(), 1);
    assert_eq!(outcome.stopped.unwrap().offset, Offset(2));
    assert_eq!(outcome.output.unwrap().rows.rows, 2);
}
