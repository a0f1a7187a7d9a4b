use arrow_array::PrimitiveArray;
use arrow_array::types::{Int32Type, Int64Type};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use sluice_core::Decimal;
use sluice_core::column::FixedBuilder;

use super::*;

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

/// Generates arrays of this kind, with nulls.
fn array(kind: Kind) -> BoxedStrategy<ArrayRef> {
    const ROWS: std::ops::Range<usize> = 0..40;
    match kind {
        Kind::Boolean => {
            vec(option::of(any::<bool>()), ROWS).prop_map(|v| Arc::new(BooleanArray::from(v)) as ArrayRef).boxed()
        }
        Kind::Utf8 => vec(option::of(".{0,6}"), ROWS).prop_map(|v| Arc::new(StringArray::from(v)) as ArrayRef).boxed(),
        Kind::Binary => {
            let rows = vec(option::of(vec(any::<u8>(), 0..6)), ROWS);
            rows.prop_map(|v| Arc::new(BinaryArray::from_iter(v)) as ArrayRef).boxed()
        }
        kind => vec(option::of(any::<i64>()), ROWS).prop_map(move |v| fixed_of(kind, &v)).boxed(),
    }
}

/// A column of a kind of fixed width, of numbers that each can hold.
fn fixed_of(kind: Kind, values: &[Option<i64>]) -> ArrayRef {
    let mut column = FixedBuilder::new(kind);
    for value in values {
        let most = kind.bounds().map_or(i64::MAX.into(), |(least, most)| most.min(-least));
        column.append_integer(value.map(|value| i128::from(value) % (most + 1)));
    }
    column.finish()
}

/// The answer of a guest that answers what it was lent.
fn echoed(lent: &Lent) -> Answered {
    Answered {
        validity: lent.validity.as_ref().map(|b| b.to_vec()),
        offsets: lent.offsets.to_vec(),
        values: lent.values.to_vec(),
    }
}

/// Every value of an array can be read, which is what an unchecked buffer would break.
fn read_all(array: &ArrayRef) {
    let data = array.to_data();
    data.validate_full().unwrap();
    assert_eq!(&arrow_array::make_array(data), array);
}

/// Buffers of about the right length, mostly with plausible offsets: deep enough into the checks to matter.
fn answered(rows: usize) -> impl Strategy<Value = Answered> {
    let lengths =
        prop_oneof![Just(0), Just(rows.div_ceil(8)), Just(rows * 4), Just(rows * 8), Just(rows * 16), 0..rows * 17 + 2];
    let values = lengths.prop_flat_map(|length| vec(prop_oneof![4 => b'a'..=b'z', 1 => any::<u8>()], length));
    let offset = prop_oneof![8 => 0..=rows as i32, 1 => any::<i32>()];
    let offsets = (vec(offset, rows + 1), any::<bool>(), 0..4_usize).prop_map(|(mut offsets, sorted, cut)| {
        if sorted {
            offsets.sort_unstable();
            offsets[0] = 0;
        }
        let mut bytes = offsets.to_byte_slice().to_vec();
        bytes.truncate(bytes.len() - if cut == 3 { 3 } else { 0 });
        bytes
    });
    let offsets = prop_oneof![3 => offsets, 1 => Just(Vec::new())];
    let bits = prop_oneof![4 => Just(rows.div_ceil(8)), 1 => 0..8_usize];
    let validity = option::of(bits.prop_flat_map(|length| vec(any::<u8>(), length)));
    (validity, offsets, values).prop_map(|(validity, offsets, values)| Answered { validity, offsets, values })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_the_bytes_are_the_answer_is_a_sound_array_or_a_defect(
        kind in kind(),
        (rows, answered) in (0..70_usize).prop_flat_map(|rows| (Just(rows), answered(rows))),
    ) {
        if let Ok(array) = accept(answered, kind, rows) {
            prop_assert_eq!(array.len(), rows);
            prop_assert_eq!(Kind::of(array.data_type()), Some(kind));
            read_all(&array);
        }
    }

    #[test]
    fn every_slice_of_every_array_comes_back_as_it_went(
        (kind, array) in kind().prop_flat_map(|kind| (Just(kind), array(kind))),
        start in any::<prop::sample::Index>(),
        rows in any::<prop::sample::Index>(),
    ) {
        let start = start.index(array.len() + 1);
        let rows = rows.index(array.len() - start + 1);
        let slice = array.slice(start, rows);
        let lent = lend(&slice, kind).unwrap();
        prop_assert_eq!(lent.validity.is_some(), slice.null_count() > 0);
        let back = accept(echoed(&lent), kind, rows).unwrap();
        read_all(&back);
        prop_assert_eq!(&back, &slice);
    }

    #[test]
    fn an_array_of_another_kind_is_not_lent((kind, array) in kind().prop_flat_map(|kind| (Just(kind), array(kind))), other in kind()) {
        prop_assert_eq!(lend(&array, other).is_some(), kind == other);
    }

    #[test]
    fn a_selection_is_its_int32s(indices in vec(any::<i32>(), 0..20), cut in 0..4_usize) {
        let mut bytes = indices.to_byte_slice().to_vec();
        bytes.truncate(bytes.len().saturating_sub(cut));
        let accepted = accept_selection(&bytes, indices.len());
        prop_assert_eq!(accepted.ok(), (bytes.len() == indices.len() * 4).then_some(indices));
    }
}

#[test]
fn whole_arrays_are_lent_where_they_lie() {
    let numbers: ArrayRef = Arc::new(PrimitiveArray::<Int64Type>::from(vec![1, 2, 3]));
    assert_eq!(lend(&numbers, Kind::Int64).unwrap().values.as_ptr(), numbers.to_data().buffers()[0].as_ptr());
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let (lent, data) = (lend(&texts, Kind::Utf8).unwrap(), texts.to_data());
    assert_eq!((lent.offsets.as_ptr(), lent.values.as_ptr()), (data.buffers()[0].as_ptr(), data.buffers()[1].as_ptr()));
}

#[test]
fn answered_bytes_become_the_arrays_own() {
    let values = vec![0; 8 * 1024];
    let pointer = values.as_ptr();
    let aligned = pointer.align_offset(8) == 0;
    let array = accept(Answered { values, ..Answered::default() }, Kind::Int64, 1024).unwrap();
    assert_eq!(array.to_data().buffers()[0].as_ptr() == pointer, aligned);
}

#[test]
fn misaligned_bytes_are_copied_to_where_they_fit() {
    for count in 0..4_i64 {
        let values: Vec<u8> = (0..count).flat_map(i64::to_le_bytes).collect();
        let array = accept(Answered { values, ..Answered::default() }, Kind::Int64, count as usize).unwrap();
        assert_eq!(array.to_data().buffers()[0].as_ptr().align_offset(8), 0);
    }
}

#[test]
fn a_character_cut_in_two_is_no_text() {
    let offsets = [0, 1, 2].to_byte_slice().to_vec();
    let cut = accept(Answered { offsets, values: "é".into(), validity: None }, Kind::Utf8, 2);
    assert!(matches!(cut, Err(Defect::NotUtf8(_))), "{cut:?}");
}

#[test]
fn more_rows_than_a_column_can_have_are_a_defect() {
    let rows = i32::MAX as usize + 1;
    assert!(matches!(accept(Answered::default(), Kind::Utf8, rows), Err(Defect::Rows(found)) if found == rows));
    assert!(accept(Answered::default(), Kind::Utf8, i32::MAX as usize).is_err());
}

#[test]
fn a_column_of_a_type_that_the_contract_lacks_is_not_lent() {
    let array: ArrayRef = Arc::new(PrimitiveArray::<Int32Type>::from(vec![1]));
    assert!(Kind::ALL.iter().all(|kind| lend(&array, *kind).is_none()));
}

/// A case that was found worth trying: kind, rows, validity, offsets, values, and whether it is a column.
type Tried = (Kind, usize, Option<&'static [u8]>, &'static [i32], &'static [u8], bool);

const MONEY: Kind = Kind::Decimal(Decimal::USUAL);

/// 10 to the power of 18, the first number that `MONEY` can't hold, and its negative.
const TOO_MUCH: &[u8; 16] = &1_000_000_000_000_000_000_i128.to_le_bytes();
const TOO_LITTLE: &[u8; 16] = &(-1_000_000_000_000_000_000_i128).to_le_bytes();
const MOST: &[u8; 16] = &999_999_999_999_999_999_i128.to_le_bytes();

const CORPUS: [Tried; 31] = [
    (Kind::Utf8, 0, None, &[0], b"", true),
    (Kind::Utf8, 0, None, &[], b"", false),
    (Kind::Utf8, 0, None, &[0], b"left over", true),
    (Kind::Utf8, 0, Some(&[]), &[0], b"", true),
    (Kind::Utf8, 1, None, &[0, i32::MAX], b"", false),
    (Kind::Utf8, 1, None, &[0, i32::MIN], b"", false),
    (Kind::Utf8, 2, None, &[0, 0, 0], b"", true),
    (Kind::Utf8, 2, None, &[0, 1, 2], b"\xc3\xa9", false),
    (Kind::Utf8, 2, None, &[0, 2, 2], b"\xc3\xa9", true),
    // What is null is to be text as well.
    (Kind::Utf8, 1, Some(&[0]), &[0, 1], b"\xff", false),
    // Bytes that no row has needn't be.
    (Kind::Utf8, 1, None, &[0, 1], b"a\xff", true),
    (Kind::Utf8, 1, None, &[0, 3], b"\xed\xa0\x80", false),
    (Kind::Binary, 1, Some(&[0]), &[0, 1], b"\xff", true),
    (Kind::Binary, 2, None, &[0, 2, 1], b"ab", false),
    (Kind::Binary, 2, Some(&[0xff]), &[0, 0, 2], b"ab", true),
    (Kind::Boolean, 9, None, &[], b"\xff\xff", true),
    (Kind::Boolean, 9, None, &[], b"\xff", false),
    (Kind::Boolean, 0, Some(&[]), &[], b"", true),
    (Kind::Int64, 1, Some(&[1]), &[], &[0; 8], true),
    (Kind::Int64, 1, Some(&[]), &[], &[0; 8], false),
    (Kind::Float64, 1, None, &[0], &[0xff; 8], false),
    (Kind::Timestamp, 1, None, &[], &[0x80; 8], true),
    (Kind::Date, 1, None, &[], &2_932_896_i32.to_le_bytes(), true),
    (Kind::Date, 1, None, &[], &2_932_897_i32.to_le_bytes(), false),
    (Kind::Date, 1, None, &[], &[0; 8], false),
    (MONEY, 1, None, &[], MOST, true),
    (MONEY, 1, None, &[], TOO_MUCH, false),
    (MONEY, 1, None, &[], TOO_LITTLE, false),
    // What is null may be anything.
    (MONEY, 1, Some(&[0]), &[], TOO_MUCH, true),
    (MONEY, 1, None, &[], &[0; 8], false),
    (MONEY, 1, None, &[0], &[0; 16], false),
];

#[test]
fn the_corpus_is_taken_and_refused_as_it_is_to_be() {
    for (kind, rows, validity, offsets, values, taken) in CORPUS {
        let answered = Answered {
            validity: validity.map(<[u8]>::to_vec),
            offsets: offsets.to_byte_slice().to_vec(),
            values: values.to_vec(),
        };
        let answer = accept(answered.clone(), kind, rows);
        assert_eq!(answer.is_ok(), taken, "{kind} {rows} {answered:?}: {answer:?}");
        answer.iter().for_each(read_all);
    }
}
