//! Folds: the laws of the contract, and answers that break it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray, new_null_array};
use sluice_core::operator::{Operator, OperatorError};
use sluice_core::{Field, Kind};
use sluice_runtime::{Instance, Limits};

use crate::guests::{AGGREGATOR, columns, config, contract, limit};

fn open(behaviour: &str) -> Instance {
    let fields = [Field::new("gift", Kind::Int64), Field::new("amount", Kind::Int64)];
    AGGREGATOR.open(&config(behaviour), &fields, &Limits::default(), "zoo").unwrap()
}

fn int64(values: &[Option<i64>]) -> [ArrayRef; 1] {
    [Arc::new(Int64Array::from(values.to_vec()))]
}

fn no_states(groups: usize) -> [ArrayRef; 1] {
    [new_null_array(&Kind::Int64.data_type(), groups)]
}

#[test]
fn amounts_are_added_to_their_groups_and_nulls_are_not() {
    let values = int64(&[Some(1), Some(10), None, Some(2), None]);
    let states = open("").accumulate(&[0, 1, 0, 0, 2], columns(&values), columns(&no_states(3))).unwrap();
    assert_eq!(states, int64(&[Some(3), Some(10), None]));
}

#[test]
fn accumulating_in_two_calls_is_accumulating_in_one() {
    let values = int64(&[Some(1), Some(10), None, Some(2), Some(5)]);
    let groups = [0, 1, 0, 0, 1];
    let mut instance = open("");
    let at_once = instance.accumulate(&groups, columns(&values), columns(&no_states(2))).unwrap();
    for split in 1..4 {
        let (head, tail) = ([values[0].slice(0, split)], [values[0].slice(split, 5 - split)]);
        let states = instance.accumulate(&groups[..split], columns(&head), columns(&no_states(2))).unwrap();
        let states = instance.accumulate(&groups[split..], columns(&tail), columns(&states)).unwrap();
        assert_eq!(states, at_once, "split at {split}");
    }
}

#[test]
fn an_empty_state_is_the_identity_of_merge() {
    let states = int64(&[Some(3), None]);
    assert_eq!(open("").merge(columns(&states), columns(&no_states(2))).unwrap(), states);
    assert_eq!(open("").merge(columns(&no_states(2)), columns(&states)).unwrap(), states);
}

#[test]
fn states_are_emitted_row_by_row() {
    let states = int64(&[Some(3), None]);
    assert_eq!(open("").emit(columns(&states)).unwrap(), states);
}

#[test]
fn an_overflow_is_the_operators_refusal_and_the_instance_goes_on() {
    let mut instance = open("");
    let (values, states) = (int64(&[Some(1)]), int64(&[Some(i64::MAX)]));
    let refused = instance.accumulate(&[0], columns(&values), columns(&states)).unwrap_err();
    assert_eq!(refused, OperatorError::Refused("the sum overflows".to_owned()));
    assert_eq!(instance.accumulate(&[0], columns(&values), columns(&values)).unwrap(), int64(&[Some(2)]));
}

#[test]
fn states_of_an_older_version_are_migrated_or_refused() {
    let mut instance = open("");
    let old: [ArrayRef; 1] = [Arc::new(Float64Array::from(vec![Some(3.0), None]))];
    let fields = [Field::new("sum", Kind::Float64)];
    assert_eq!(instance.migrate(1, &fields, columns(&old)).unwrap(), int64(&[Some(3), None]));
    let refused = instance.migrate(7, &fields, columns(&old)).unwrap_err();
    assert_eq!(refused, OperatorError::Refused("states of version 7 are unknown".to_owned()));
}

#[test]
fn a_transform_runs_before_the_fold() {
    let gifts = int64(&[Some(7), Some(-12)]);
    let produced = open("").process(columns(&gifts)).unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["7", "-12"]));
    assert_eq!(produced.columns, [texts]);
}

#[test]
fn answers_that_do_not_fit_the_states_are_a_broken_contract() {
    let values = int64(&[Some(1), Some(2)]);
    let accumulate = |behaviour| open(behaviour).accumulate(&[0, 1], columns(&values), columns(&no_states(2)));
    assert!(contract(accumulate("forget a group")).contains("`accumulate` answered a bad column `sum` (int64)"));
    assert!(contract(accumulate("answer two states")).contains("answered 2 columns where its plan has 1"));
    assert!(contract(accumulate("make up a group")).contains("must be 16 bytes for 2 rows and are 24"));
    assert!(contract(open("emit nothing").emit(columns(&values))).contains("`emit` answered 0 columns"));
    assert!(contract(open("emit a row more").emit(columns(&values))).contains("for 2 rows and are 24"));
    assert!(contract(open("emit a row less").emit(columns(&values))).contains("for 2 rows and are 8"));
    assert!(matches!(open("trap in emit").emit(columns(&values)), Err(OperatorError::Trap(_))));
    assert!(matches!(accumulate("trap on an amount"), Ok(states) if states == values));
    let amount = int64(&[Some(-7)]);
    let trapped = open("trap on an amount").accumulate(&[0], columns(&amount), columns(&no_states(1)));
    assert!(matches!(trapped, Err(OperatorError::Trap(_))));
    assert!(matches!(accumulate("trap in accumulate"), Err(OperatorError::Trap(_))));
}

#[test]
fn batches_that_do_not_belong_together_never_reach_the_operator() {
    let (one, two) = (int64(&[Some(1)]), int64(&[Some(1), Some(2)]));
    let accumulated = open("").accumulate(&[0], columns(&two), columns(&no_states(1)));
    assert!(contract(accumulated).contains("1 groups for 2 rows"));
    assert!(contract(open("").merge(columns(&one), columns(&two))).contains("1 states on the left and 2 on the right"));
}

#[test]
fn a_state_that_grows_for_ever_is_a_limit_and_names_it() {
    let limits = Limits { state_bytes: 1_000, ..Limits::default() };
    let fields = [Field::new("gift", Kind::Int64), Field::new("amount", Kind::Int64)];
    let mut instance = AGGREGATOR.open(&config("grow for ever"), &fields, &limits, "zoo").unwrap();
    let mut states = vec![no_states(2)[0].clone(), new_null_array(&Kind::Binary.data_type(), 2)];
    let mut accumulate = |rows: usize| {
        let values = int64(&vec![Some(1); rows]);
        let after = instance.accumulate(&vec![1; rows], columns(&values), columns(&states))?;
        states = after.clone();
        Ok(after)
    };
    // 64 bytes for each row of the group.
    for _ in 0..15 {
        accumulate(1).unwrap();
    }
    assert!(limit(accumulate(1)).contains("a state of 1024 bytes of text and binary, and a group's may have 1000"));
}

#[test]
fn a_migration_that_traps_refuses_or_drops_a_group_is_said_so() {
    let old: [ArrayRef; 1] = [Arc::new(Float64Array::from(vec![3.0, 4.0]))];
    let fields = [Field::new("sum", Kind::Float64)];
    let migrate = |behaviour| open(behaviour).migrate(1, &fields, columns(&old));
    assert!(matches!(migrate("trap in migrate"), Err(OperatorError::Trap(_))));
    assert_eq!(migrate("refuse to migrate"), Err(OperatorError::Refused("it forgot how".to_owned())));
    assert!(contract(migrate("drop a group in migrate")).contains("must be 16 bytes for 2 rows and are 8"));
}

#[test]
fn groups_that_are_swapped_in_migrate_are_seen_when_each_is_migrated_by_itself() {
    let old: [ArrayRef; 1] = [Arc::new(Float64Array::from(vec![3.0, 4.0]))];
    let fields = [Field::new("sum", Kind::Float64)];
    for (behaviour, alike) in [("", true), ("swap groups in migrate", false)] {
        let mut instance = open(behaviour);
        let together = instance.migrate(1, &fields, columns(&old)).unwrap();
        let alone = instance.migrate(1, &fields, columns(&[old[0].slice(0, 1)])).unwrap();
        assert_eq!(*together[0].slice(0, 1) == *alone[0], alike, "{behaviour}");
    }
}

#[test]
fn keys_that_are_not_a_number_are_answered_as_they_are() {
    let produced = open("answer NaN keys").process(columns(&int64(&[Some(0), Some(1)]))).unwrap();
    let keys = produced.columns[0].as_primitive::<Float64Type>().values().to_vec();
    assert!(keys.iter().all(|key| key.is_nan()) && keys[0].to_bits() != keys[1].to_bits());
}
