//! Answers that `open` may give, and those that it may not.

use sluice_core::operator::{Operator, Origin};
use sluice_core::{Field, Kind};
use sluice_runtime::{Limits, OpenError};

use crate::guests::{AGGREGATOR, RUNTIME, TRANSFORMER, config, fields, open_transformer, open_within};

#[test]
fn an_instance_has_the_plan_that_its_operator_answered() {
    let instance = open_transformer("echo").unwrap();
    let plan = instance.transform_plan();
    assert_eq!(plan.reads, [0, 1]);
    assert_eq!(plan.output_fields(&fields()), fields());
    assert!(plan.computes() && instance.fold_plan().is_none());
}

#[test]
fn a_plan_may_pass_the_input_through_and_compute_nothing() {
    let instance = open_transformer("pass the input through").unwrap();
    assert!(!instance.transform_plan().computes());
    assert_eq!(instance.transform_plan().outputs[1], ("t".to_owned(), Origin::Input(1)));
}

#[test]
fn an_operators_refusal_comes_as_it_is() {
    assert_eq!(open_transformer("refuse to open").unwrap_err(), OpenError::Refused("no column `n`".to_owned()));
}

#[test]
fn a_trap_in_open_is_a_trap() {
    assert!(matches!(open_transformer("trap in open"), Err(OpenError::Trap(_))));
}

#[test]
fn an_endless_open_is_stopped_at_its_limit() {
    let limits = Limits { open_time: std::time::Duration::from_millis(30), ..Limits::default() };
    let error = open_within("spin in open", &limits).unwrap_err();
    assert!(matches!(&error, OpenError::Limit(reason) if reason.contains("30ms")), "{error:?}");
}

#[test]
fn an_open_that_hoards_memory_is_stopped_at_its_limit() {
    let error = open_transformer("hoard in open").unwrap_err();
    assert!(matches!(&error, OpenError::Limit(reason) if reason.contains("67108864")), "{error:?}");
}

#[test]
fn an_open_that_answers_too_much_is_stopped_at_its_limit() {
    let error = open_within("plan a million reads", &Limits { output_bytes: 1 << 20, ..Limits::default() });
    assert!(matches!(error, Err(OpenError::Limit(_))), "{error:?}");
}

#[test]
fn a_transforms_plan_that_can_not_be_kept_is_refused_with_the_reason() {
    for (behaviour, reason) in [
        ("read a column that is not there", "reads name column 2, and there are 2"),
        ("answer a column that is not there", "`n` is input column 4294967295, and there are 2"),
        ("name two outputs alike", "two columns `n`"),
        ("name an output with nothing", "without a name"),
        ("name an output at length", "10000 bytes"),
        ("name an output with a line break", r#""n\n""#),
        ("plan a decimal of forty digits", "decimal(40, 2)"),
        ("plan no outputs", "no outputs"),
        ("plan a million reads", "1000000 columns"),
    ] {
        let error = open_transformer(behaviour).unwrap_err();
        assert!(matches!(&error, OpenError::Contract(said) if said.contains(reason)), "{behaviour}: {error:?}");
    }
}

#[test]
fn an_operator_of_contract_0_1_refuses_a_column_that_its_contract_lacks_by_its_name() {
    let older = std::fs::read("../../tests/contract/0.1/gift_sum.wasm").unwrap();
    let older = RUNTIME.compile(&older).unwrap();
    let fields = |amount: &str| {
        let amount = Field::new("gift_total_amount", amount.parse().unwrap());
        [Field::new("gift_type", Kind::Int64), amount]
    };
    assert!(older.open("{}", &fields("int64"), &Limits::default(), "zoo").is_ok());
    for kind in ["date", "decimal(18, 2)"] {
        let refused = older.open("{}", &fields(kind), &Limits::default(), "zoo").unwrap_err();
        let named =
            format!("the column gift_total_amount:{kind} is of a kind that its contract, sluice:operator@0.1.0");
        assert!(matches!(&refused, OpenError::Refused(said) if said.starts_with(&named)), "{refused:?}");
    }
}

fn gifts() -> [Field; 2] {
    [Field::new("gift", Kind::Int64), Field::new("amount", Kind::Int64)]
}

#[test]
fn an_aggregator_agrees_on_a_fold_over_its_transforms_columns() {
    let instance = AGGREGATOR.open("{}", &gifts(), &Limits::default(), "zoo").unwrap();
    let fold = instance.fold_plan().unwrap();
    assert_eq!((fold.keys.as_slice(), fold.values.as_slice(), fold.state_version), (&[0][..], &[1][..], 2));
    assert_eq!(fold.state, [Field::new("sum", Kind::Int64)]);
}

#[test]
fn a_folds_plan_that_can_not_be_kept_is_refused_with_the_reason() {
    for (behaviour, reason) in [
        ("group by a column that is not there", "keys name column 2, and there are 2"),
        ("add a column that is not there", "values name column 2, and there are 2"),
        ("keep no state", "no state"),
        ("keep two states alike", "two columns `sum`"),
        ("name an output as a key", "two columns `gift`"),
        ("plan no result", "neither keys nor outputs"),
    ] {
        let error = AGGREGATOR.open(&config(behaviour), &gifts(), &Limits::default(), "zoo").unwrap_err();
        assert!(matches!(&error, OpenError::Contract(said) if said.contains(reason)), "{behaviour}: {error:?}");
    }
}

#[test]
fn a_folds_refusal_and_trap_are_told_apart() {
    let open = |behaviour| AGGREGATOR.open(&config(behaviour), &gifts(), &Limits::default(), "zoo").unwrap_err();
    assert_eq!(open("refuse to fold"), OpenError::Refused("nothing to add".to_owned()));
    assert!(matches!(open("trap in the fold's open"), OpenError::Trap(_)));
}

#[test]
fn an_operator_may_be_opened_without_columns() {
    let opened = TRANSFORMER.open(&config("echo"), &[], &Limits::default(), "zoo");
    assert!(matches!(opened, Err(OpenError::Contract(reason)) if reason.contains("no outputs")));
}
