//! What crosses the boundary is Arrow's layout, byte by byte: the test harness reads and writes with the SDK's own code,
//! so these tests write the bytes down.

use sluice_sdk::contract::transform::Produced;
use sluice_sdk::contract::{Batch, Column};
use sluice_sdk::{DecimalText, Reject, Timestamp, Transform, row, transform};

row! {
    pub struct In<'a> {
        number: Option<i64>,
        real: Option<f64>,
        flag: Option<bool>,
        text: Option<&'a str>,
        bytes: Option<&'a [u8]>,
        time: Option<Timestamp>,
        keep: bool,
    }
}

row! {
    pub struct Out<'a> {
        decimal: Option<DecimalText>,
        real: Option<f64>,
        flag: Option<bool>,
        text: Option<&'a str>,
        bytes: Option<&'a [u8]>,
        time: Option<Timestamp>,
        owned: String,
    }
}

#[derive(Default)]
struct Copy;

impl Transform for Copy {
    type In<'a> = In<'a>;
    type Out<'a> = Out<'a>;

    fn keep(&self, row: &In<'_>) -> bool {
        row.keep
    }

    fn row<'a>(&'a self, row: In<'a>) -> Result<Out<'a>, Reject> {
        Ok(Out {
            decimal: row.number.map(DecimalText),
            real: row.real,
            flag: row.flag,
            text: row.text,
            bytes: row.bytes,
            time: row.time,
            owned: row.text.unwrap_or("-").to_owned(),
        })
    }
}

fn words(words: &[i64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn ints(ints: &[i32]) -> Vec<u8> {
    ints.iter().flat_map(|int| int.to_le_bytes()).collect()
}

fn column(validity: Option<u8>, offsets: &[i32], values: Vec<u8>) -> Column {
    Column { validity: validity.map(|bits| vec![bits]), offsets: ints(offsets), values }
}

/// Three rows: all there, all null but `keep`, all there.
fn input(keep: u8, keep_validity: Option<u8>) -> Batch {
    let columns = vec![
        column(Some(0b101), &[], words(&[-12, 0, 123_456_789_012])),
        column(Some(0b101), &[], [1.5f64, 0.0, -0.0].iter().flat_map(|real| real.to_le_bytes()).collect()),
        column(Some(0b101), &[], vec![0b100]),
        column(Some(0b101), &[0, 6, 6, 7], "浙江x".into()),
        column(Some(0b101), &[0, 1, 1, 3], vec![0xff, 0, 1]),
        column(Some(0b101), &[], words(&[1, 0, -1])),
        column(keep_validity, &[], vec![keep]),
    ];
    Batch { rows: 3, columns }
}

fn assert_columns(produced: &Produced, expected: &[Column]) {
    assert_eq!(produced.columns.len(), expected.len());
    for (index, (column, expected)) in produced.columns.iter().zip(expected).enumerate() {
        assert_eq!(column.validity, expected.validity, "validity of column {index}");
        assert_eq!(column.offsets, expected.offsets, "offsets of column {index}");
        assert_eq!(column.values, expected.values, "values of column {index}");
    }
}

#[test]
fn rows_that_all_stay_are_columns_in_arrows_layout_without_a_selection() {
    let produced = transform::process(&Copy, &input(0b111, None)).unwrap();
    assert_eq!((produced.rows, &produced.selection), (3, &None));
    assert!(produced.rejected.is_empty());
    let valid = Some(0b1111_1101);
    let expected = [
        column(valid, &[0, 3, 3, 15], b"-12123456789012".to_vec()),
        column(valid, &[], [1.5f64, 0.0, -0.0].iter().flat_map(|real| real.to_le_bytes()).collect()),
        column(valid, &[], vec![0b100]),
        column(valid, &[0, 6, 6, 7], "浙江x".into()),
        column(valid, &[0, 1, 1, 3], vec![0xff, 0, 1]),
        column(valid, &[], words(&[1, 0, -1])),
        column(None, &[0, 6, 7, 8], "浙江-x".into()),
    ];
    assert_columns(&produced, &expected);
}

#[test]
fn the_selection_has_the_input_row_of_each_row_that_stays_and_rejections_the_others() {
    // Row 0 is filtered, row 1 has a null where none may be, row 2 stays.
    let produced = transform::process(&Copy, &input(0b100, Some(0b101))).unwrap();
    assert_eq!((produced.rows, produced.selection.clone()), (1, Some(ints(&[2]))));
    let rejected: Vec<_> = produced.rejected.iter().map(|it| (it.row, it.reason.as_str())).collect();
    assert_eq!(rejected, [(1, "`keep` is null")]);
    let expected = [
        column(None, &[0, 12], b"123456789012".to_vec()),
        column(None, &[], (-0.0f64).to_le_bytes().to_vec()),
        column(None, &[], vec![1]),
        column(None, &[0, 1], b"x".to_vec()),
        column(None, &[0, 2], vec![0, 1]),
        column(None, &[], words(&[-1])),
        column(None, &[0, 1], b"x".to_vec()),
    ];
    assert_columns(&produced, &expected);
}

#[test]
fn a_result_without_rows_has_columns_without_values() {
    let produced = transform::process(&Copy, &input(0, None)).unwrap();
    assert_eq!((produced.rows, produced.selection.clone()), (0, Some(Vec::new())));
    assert!(produced.columns.iter().all(|column| column.values.is_empty()));
    assert_eq!(produced.columns[0].offsets, ints(&[0]));
}

#[test]
fn text_that_is_longer_than_was_guessed_is_written_whole() {
    let long = "长".repeat(10_000);
    let mut batch = input(0b111, None);
    batch.columns[3] = column(None, &[0, 30_000, 30_000, 60_000], long.repeat(2).into_bytes());
    let produced = transform::process(&Copy, &batch).unwrap();
    assert_eq!(produced.columns[3].values, long.repeat(2).into_bytes());
    assert_eq!(produced.columns[3].offsets, ints(&[0, 30_000, 30_000, 60_000]));
}

#[test]
fn buffers_that_arent_the_contracts_are_an_error_that_says_which() {
    let broken: [(usize, Column); 5] = [
        (0, column(None, &[], words(&[1]))),
        (0, Column { validity: Some(Vec::new()), ..column(None, &[], words(&[1, 2, 3])) }),
        (2, column(None, &[], Vec::new())),
        (3, column(None, &[0, 1], b"x".to_vec())),
        (3, column(None, &[0, 1, 1, 1], vec![0xff])),
    ];
    for (index, column) in broken {
        let mut batch = input(0b111, None);
        batch.columns[index] = column;
        assert!(transform::process(&Copy, &batch).is_err(), "column {index}");
    }
}
