//! Answers that `process` may give, and those that it may not.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use sluice_core::column::FixedBuilder;
use sluice_core::operator::{Columns, Operator, OperatorError};
use sluice_core::{Field, Kind};
use sluice_runtime::Limits;

use crate::guests::{TRANSFORMER, columns, config, contract, limit, open_transformer, open_within, process, rows};

/// Twelve rows of every kind, with nulls.
fn every_kind() -> (Vec<Field>, Vec<ArrayRef>) {
    let valid = |row: i32| row % 3 != 1;
    let texts = ["", "é", "abc", "日本"];
    let text = |row: i32| valid(row).then(|| texts[row as usize % 4]);
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(BooleanArray::from_iter((0..12).map(|row| valid(row).then_some(row % 2 == 0)))),
        Arc::new(Int64Array::from_iter((0..12).map(|row| valid(row).then_some(i64::from(row) << 40)))),
        Arc::new(Float64Array::from_iter((0..12).map(|row| valid(row).then_some(f64::from(row) / 7.0)))),
        Arc::new(StringArray::from_iter((0..12).map(text))),
        Arc::new(BinaryArray::from_iter((0..12).map(|row| text(row).map(str::as_bytes)))),
        Arc::new(TimestampMicrosecondArray::from_iter((0..12).map(|row| valid(row).then_some(i64::from(row) - 6)))),
    ];
    arrays.extend(Kind::ALL[arrays.len()..].iter().map(|kind| {
        let mut column = FixedBuilder::new(*kind);
        (0..12).for_each(|row| column.append_integer(valid(row).then_some(i128::from(row) - 6)));
        column.finish()
    }));
    let fields = Kind::ALL.iter().map(|kind| Field::new(kind.name(), *kind)).collect();
    (fields, arrays)
}

#[test]
fn columns_of_every_kind_and_every_slice_of_them_come_back_as_they_went() {
    let (fields, arrays) = every_kind();
    let mut instance = TRANSFORMER.open(&config("echo"), &fields, &Limits::default(), "zoo").unwrap();
    for start in 0..12 {
        for rows in 1..=12 - start {
            let sliced: Vec<ArrayRef> = arrays.iter().map(|array| array.slice(start, rows)).collect();
            let produced = instance.process(Columns { rows, arrays: &sliced }).unwrap();
            assert_eq!(produced.columns, sliced, "{start}..{}", start + rows);
        }
    }
}

#[test]
fn columns_without_nulls_come_back_without_a_bitmap() {
    let mut instance = open_transformer("echo").unwrap();
    let [numbers, texts] = rows();
    let produced = instance.process(columns(&[numbers.slice(2, 1), texts.slice(0, 1)])).unwrap();
    assert!(produced.columns.iter().all(|column| column.nulls().is_none()));
}

#[test]
fn text_goes_through_the_hosts_codec_and_back() {
    let (_, arrays) = every_kind();
    let fields = [Field::new("t", Kind::Utf8)];
    let mut instance = TRANSFORMER.open(&config("recode"), &fields, &Limits::default(), "zoo").unwrap();
    let text = [arrays[3].slice(2, 9)];
    assert_eq!(instance.process(columns(&text)).unwrap().columns, text);
}

#[test]
fn the_hosts_codec_refuses_what_is_no_text() {
    assert!(contract(process("decode bad offsets")).contains("offsets"));
    assert!(contract(process("decode bad bytes")).contains("UTF-8"));
}

#[test]
fn a_refusal_is_the_operators_own_words_and_the_instance_goes_on() {
    let mut instance = open_transformer("refuse").unwrap();
    for _ in 0..3 {
        let refused = instance.process(columns(&rows())).unwrap_err();
        assert_eq!(refused, OperatorError::Refused("sum overflows".to_owned()));
    }
}

#[test]
fn a_refusal_at_length_is_cut() {
    let Err(OperatorError::Refused(words)) = process("refuse at length") else { panic!("not refused") };
    assert!(words.len() < 5_000 && words.ends_with('…'), "{}", words.len());
}

#[test]
fn rows_may_be_selected_exploded_and_rejected() {
    let first = process("select the first row").unwrap();
    assert_eq!((first.rows, first.selection), (1, Some(vec![0])));
    let exploded = process("explode each row").unwrap();
    assert_eq!((exploded.rows, exploded.columns[0].len()), (32, 32));
    assert_eq!(exploded.selection.unwrap()[7..9], [0, 1]);
    let rejected = process("reject the first row").unwrap();
    assert_eq!((rejected.rows, rejected.rejected.len(), rejected.rejected[0].reason.as_str()), (0, 1, "bad"));
}

#[test]
fn a_reason_at_length_is_cut() {
    let rejected = process("reject at length").unwrap().rejected;
    assert!(rejected[0].reason.len() < 1_100, "{}", rejected[0].reason.len());
}

#[test]
fn an_answer_that_breaks_the_contract_is_refused_with_the_reason() {
    for (behaviour, reason) in [
        ("leave a column out", "answered 1 columns where its plan has 2"),
        ("claim a row more", "column `n` (int64): its values must be 40 bytes for 5 rows and are 32"),
        ("cut the values", "column `n` (int64): its values must be 32 bytes for 4 rows and are 31"),
        ("cut the validity", "its validity bits must be 1 bytes for 4 rows and are 0"),
        ("lengthen the validity", "its validity bits must be 1 bytes for 4 rows and are 64"),
        ("add offsets to a number", "its offsets must be 0 bytes for 4 rows and are 4"),
        ("cut the offsets", "column `t` (utf8): its offsets must be 20 bytes for 4 rows and are 16"),
        ("cut an offset", "its offsets must be 20 bytes for 4 rows and are 19"),
        ("add an offset", "its offsets must be 20 bytes for 4 rows and are 24"),
        ("overlap the offsets", "its offsets must never fall: row 1 goes from 2 to 1"),
        ("answer numbers for text", "its offsets must be 20 bytes for 4 rows and are 0"),
        ("start the offsets at 1", "its first offset must be 0 and is 1"),
        ("let an offset fall", "row 1 goes from 2147483647 to 3"),
        ("let an offset be negative", "row 0 goes from 0 to -1"),
        ("end past the values", "its last offset is 3, past its 0 bytes of values"),
        ("answer bytes for text", "its text is not UTF-8"),
        ("cut the selection", "bad selection: its int32 must be 16 bytes for 4 rows and are 3"),
        ("reject more rows than there are", "rejected 5 rows of 4"),
    ] {
        let said = contract(process(behaviour));
        assert!(said.contains("`process`") && said.contains(reason), "{behaviour}: {said}");
    }
}

#[test]
fn a_pointer_to_where_there_is_no_memory_is_a_broken_contract() {
    assert!(contract(process("answer from wild memory")).contains("out of bounds"));
}

#[test]
fn rows_out_are_bounded_by_rows_in() {
    for behaviour in ["explode each row too far", "claim four billion rows"] {
        assert!(limit(process(behaviour)).contains("may answer 1280"));
    }
}

#[test]
fn what_the_host_gets_wrong_is_an_error_and_no_panic() {
    let [numbers, texts] = rows();
    for arrays in [vec![numbers.clone()], vec![texts.clone(), numbers.clone()], vec![numbers.slice(0, 2), texts]] {
        let mut instance = open_transformer("echo").unwrap();
        assert!(contract(instance.process(Columns { rows: 4, arrays: &arrays })).contains("by the host"));
    }
}

#[test]
fn a_transformer_has_no_fold() {
    let rows: [ArrayRef; 1] = [Arc::new(arrow_array::PrimitiveArray::<Int64Type>::from(vec![1]))];
    let emitted = open_transformer("echo").unwrap().emit(columns(&rows));
    assert!(contract(emitted).contains("has no fold"));
    assert_eq!(rows[0].as_primitive::<Int64Type>().value(0), 1);
}

#[test]
fn what_is_said_of_the_inputs_rows_is_the_chains_to_check() {
    assert_eq!(process("select a row outside").unwrap().selection, Some(vec![1, 2, 3, 4]));
    assert_eq!(process("select a row below").unwrap().selection, Some(vec![-1, 0, 1, 2]));
    assert_eq!(process("reject a row outside").unwrap().rejected[0].row, 4);
}

#[test]
fn rows_out_are_bounded_as_the_limit_says() {
    let answer = |rows_out| {
        let mut instance = open_within("explode each row", &Limits { rows_out, ..Limits::default() }).unwrap();
        instance.process(columns(&many(200)))
    };
    assert!(limit(answer(1)).contains("answered 1600 rows to 200, and may answer 1224: 1 for each, and 1024"));
    assert_eq!(answer(8).unwrap().rows, 1600);
}

fn many(rows: i64) -> [ArrayRef; 2] {
    [Arc::new(Int64Array::from_iter_values(0..rows)), Arc::new(StringArray::from_iter_values((0..rows).map(|_| "a")))]
}
