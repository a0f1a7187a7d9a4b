//! What an operator answers to the columns that it is given.

use sluice_sdk::contract::transform::Origin;
use sluice_sdk::contract::{Batch, Column, Field, Kind};
use sluice_sdk::{Count, Reject, Sum, Timestamp, Transform, fold, row, testing::Trial, transform};

row! {
    pub struct In<'a> { time: &'a str, amount: Option<i64> }
}

row! {
    pub struct Out {
        day: Timestamp,
        province = untouched &str,
        double: Option<i64>,
        amount = untouched i64,
    }
}

#[derive(Debug, Default)]
struct Daily;

impl Transform for Daily {
    type In<'a> = In<'a>;
    type Out<'a> = Out;

    fn row(&self, row: In<'_>) -> Result<Out, Reject> {
        Ok(Out { day: Timestamp::from_micros(row.time.len() as i64), double: row.amount })
    }
}

fold! {
    Daily: state version 7, group by province, day {
        total = Sum(amount),
        days = Count<Timestamp>(day),
        provinces = Count<String>(province),
    }
}

fn field(name: &str, kind: Kind) -> Field {
    Field { name: name.to_owned(), kind }
}

fn input() -> Vec<Field> {
    let (int64, utf8) = (Kind::Int64, Kind::Utf8);
    vec![field("other", Kind::Binary), field("amount", int64), field("province", utf8), field("time", utf8)]
}

#[test]
fn a_transform_reads_its_columns_among_others_and_untouched_ones_dont_enter_it() {
    let plan = transform::plan::<Daily>(&input()).unwrap();
    assert_eq!(plan.reads, [3, 1]);
    let outputs: Vec<_> = plan.outputs.iter().map(|it| format!("{} {:?}", it.name, it.origin)).collect();
    let expected = [
        format!("day {:?}", Origin::Computed(Kind::Timestamp)),
        format!("province {:?}", Origin::Input(2)),
        format!("double {:?}", Origin::Computed(Kind::Int64)),
        format!("amount {:?}", Origin::Input(1)),
    ];
    assert_eq!(outputs, expected);
}

#[test]
fn a_fold_has_its_keys_values_states_and_outputs_by_name() {
    let result = [
        field("day", Kind::Timestamp),
        field("province", Kind::Utf8),
        field("double", Kind::Int64),
        field("amount", Kind::Int64),
    ];
    let plan = sluice_sdk::fold::plan::<Daily>(&result).unwrap();
    assert_eq!((plan.keys, plan.values, plan.state_version), (vec![1, 0], vec![3, 0, 1], 7));
    let columns = |fields: Vec<Field>| fields.into_iter().map(|it| (it.name, it.kind)).collect::<Vec<_>>();
    let expected = ["total", "days", "provinces"].map(|name| (name.to_owned(), Kind::Int64));
    assert_eq!(columns(plan.state), expected);
    assert_eq!(columns(plan.outputs), expected);
}

#[test]
fn every_column_that_is_missing_or_of_another_kind_is_said_at_once_with_what_is_there() {
    let refused = transform::plan::<Daily>(&[field("time", Kind::Timestamp), field("province", Kind::Int64)]);
    let expected = "column `time` must be utf8, and it is timestamp; there is no column `amount` (int64); \
                    column `province` must be utf8, and it is int64; \
                    the input has time:timestamp, province:int64";
    assert_eq!(refused.map(|_| ()), Err(expected.to_owned()));
    let refused = sluice_sdk::fold::plan::<Daily>(&[]);
    assert!(
        refused.is_err_and(|it| it.starts_with("there is no column `province`;") && it.ends_with("has no columns"))
    );
}

#[test]
fn a_refusal_lists_a_bounded_number_of_columns() {
    let many: Vec<_> = (0..1000).map(|index| field(&format!("column_{index}"), Kind::Int64)).collect();
    let refused = transform::plan::<Daily>(&many).map(|_| ()).unwrap_err();
    assert!(refused.ends_with("column_39:int64, and 960 more"), "{refused}");
}

#[test]
fn configuration_is_refused_by_an_operator_that_takes_none() {
    for none in ["", "{}", " {} ", "null"] {
        assert!(Trial::<Daily>::open(none).is_ok(), "{none}");
    }
    let refused = Trial::<Daily>::open(r#"{"unit":"day"}"#).err();
    let expected = "this operator takes no configuration; remove what the pipeline gives it";
    assert_eq!(refused.as_deref(), Some(expected));
}

#[test]
fn states_of_the_same_form_migrate_as_they_are_and_others_are_refused() {
    let state = ["total", "days", "provinces"].map(|name| field(name, Kind::Int64));
    let states = || {
        let column = |value: i64| Column { validity: None, offsets: Vec::new(), values: value.to_le_bytes().to_vec() };
        Batch { rows: 1, columns: [1, 2, 3].map(column).to_vec() }
    };
    let taken = sluice_sdk::fold::migrate(&Daily, 7, &state, states()).unwrap();
    assert_eq!(taken.iter().map(|it| it.values[0]).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(sluice_sdk::fold::migrate(&Daily, 6, &state, states()).is_err());
    let refused = sluice_sdk::fold::migrate(&Daily, 7, &state[..1], states()).unwrap_err();
    assert!(refused.contains("(total:int64)"), "{refused}");
}

#[test]
fn a_group_that_has_no_state_is_an_error() {
    let column = |values: Vec<u8>| Column { validity: None, offsets: vec![0; 8], values };
    let word = || column(vec![0; 8]);
    let values = Batch { rows: 1, columns: vec![word(), word(), column(Vec::new())] };
    let states = Batch { rows: 1, columns: vec![word(), word(), word()] };
    let grown = |group: i32| sluice_sdk::fold::accumulate(&Daily, &group.to_le_bytes(), &values, &states);
    assert!(grown(0).is_ok());
    assert_eq!(grown(1).map(|_| ()), Err("row 0 is of group 1, which has no state".to_owned()));
    assert!(grown(-1).is_err());
    assert!(sluice_sdk::fold::accumulate(&Daily, &[], &values, &states).is_err());
}
