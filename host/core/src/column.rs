//! Columns of any kind, by the layout of their values: to read them one by one, to build them, and to show and read a value as
//! text.
//!
//! Code that only moves values asks for a kind's [`Layout`], and so has nothing to say when a kind of fixed width is added.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BooleanArray, downcast_primitive_array, make_array, new_empty_array};
use arrow_buffer::{Buffer, NullBuffer, NullBufferBuilder};
use arrow_data::ArrayData;

use crate::decimal::NoDecimal;
use crate::number::{Whole, whole};
use crate::schema::{Kind, Layout, Width};
use crate::time;

/// The values of a column, to be read one by one.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values<'a> {
    Bits(&'a BooleanArray),
    Four(Fixed<'a, 4>),
    Eight(Fixed<'a, 8>),
    Sixteen(Fixed<'a, 16>),
    Bytes(Bytes<'a>),
}

/// Values of N bytes each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fixed<'a, const N: usize> {
    values: &'a [[u8; N]],
    nulls: Option<&'a NullBuffer>,
}

impl<const N: usize> Fixed<'_, N> {
    /// The row's value, little-endian; none if it is null.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<[u8; N]> {
        is_valid(self.nulls, row).then(|| self.values[row])
    }

    /// All values in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<[u8; N]>> {
        (0..self.values.len()).map(|row| self.get(row))
    }
}

/// Texts, or bytes of any length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'a> {
    offsets: &'a [i32],
    values: &'a [u8],
    nulls: Option<&'a NullBuffer>,
}

impl<'a> Bytes<'a> {
    /// The row's value; none if it is null.
    #[inline]
    pub(crate) fn get(&self, row: usize) -> Option<&'a [u8]> {
        // Arrow has checked that offsets ascend within the values.
        let bytes = || &self.values[self.offsets[row] as usize..self.offsets[row + 1] as usize];
        is_valid(self.nulls, row).then(bytes)
    }
}

#[inline]
fn is_valid(nulls: Option<&NullBuffer>, row: usize) -> bool {
    nulls.is_none_or(|nulls| nulls.is_valid(row))
}

impl<'a> Values<'a> {
    /// The values of an array; none if its type is of no kind.
    pub(crate) fn of(array: &'a ArrayRef) -> Option<Values<'a>> {
        let nulls = array.nulls();
        Some(match Kind::of(array.data_type())?.layout() {
            Layout::Bits => Values::Bits(array.as_boolean_opt()?),
            Layout::Fixed(Width::Four) => Values::Four(Fixed { values: words(array)?, nulls }),
            Layout::Fixed(Width::Eight) => Values::Eight(Fixed { values: words(array)?, nulls }),
            Layout::Fixed(Width::Sixteen) => Values::Sixteen(Fixed { values: words(array)?, nulls }),
            Layout::Bytes => {
                let (offsets, values) = match (array.as_string_opt::<i32>(), array.as_binary_opt::<i32>()) {
                    (Some(texts), _) => (texts.value_offsets(), texts.value_data()),
                    (_, Some(bytes)) => (bytes.value_offsets(), bytes.value_data()),
                    _ => return None,
                };
                Values::Bytes(Bytes { offsets, values, nulls })
            }
        })
    }
}

impl Values<'_> {
    /// The integer that the row's bytes are; none if it is null or the values are of no fixed width.
    fn integer(&self, row: usize) -> Option<i128> {
        match self {
            Values::Four(values) => values.get(row).map(|value| i32::from_le_bytes(value).into()),
            Values::Eight(values) => values.get(row).map(|value| i64::from_le_bytes(value).into()),
            Values::Sixteen(values) => values.get(row).map(i128::from_le_bytes),
            Values::Bits(_) | Values::Bytes(_) => None,
        }
    }
}

/// The values of an array of N bytes a row.
fn words<const N: usize>(array: &dyn Array) -> Option<&[[u8; N]]> {
    fixed_buffer(array)?.as_slice().as_chunks().0.get(..array.len())
}

/// The buffer of an array's values, which begins with the first row's; none if they aren't of a fixed width.
pub fn fixed_buffer(array: &dyn Array) -> Option<&Buffer> {
    downcast_primitive_array!(
        array => Some(array.values().inner()),
        _ => None,
    )
}

/// The array of a kind of fixed width with these values, which are copied if they aren't aligned. None if there are too few bytes, if
/// the nulls are of another number of rows, or if the kind has another layout.
pub fn fixed_array(kind: Kind, rows: usize, values: Buffer, nulls: Option<NullBuffer>) -> Option<ArrayRef> {
    matches!(kind.layout(), Layout::Fixed(_)).then_some(())?;
    let data = ArrayData::builder(kind.data_type()).len(rows).add_buffer(values).nulls(nulls).align_buffers(true);
    data.build().ok().map(make_array)
}

/// A column that grows.
#[derive(Debug)]
pub enum ColumnBuilder {
    /// Truth values.
    Bits(BooleanBuilder),
    /// Values of a fixed width.
    Fixed(FixedBuilder),
    /// Texts.
    Utf8(StringBuilder),
    /// Bytes.
    Binary(BinaryBuilder),
}

/// A column of values of a fixed width that grows.
#[derive(Debug)]
pub struct FixedBuilder {
    kind: Kind,
    width: Width,
    values: Vec<u8>,
    nulls: NullBufferBuilder,
}

impl FixedBuilder {
    /// Makes an empty column of this kind, which is of a fixed width.
    pub fn new(kind: Kind) -> FixedBuilder {
        let width = match kind.layout() {
            Layout::Fixed(width) => width,
            Layout::Bits | Layout::Bytes => Width::Eight,
        };
        FixedBuilder { kind, width, values: Vec::new(), nulls: NullBufferBuilder::new(0) }
    }

    /// The bytes of a value.
    pub fn width(&self) -> usize {
        self.width.bytes()
    }

    /// Appends the bytes of a value, little-endian, of which there are as many as the width says; of any others it is null.
    #[inline]
    pub fn append_bytes(&mut self, value: &[u8]) {
        if value.len() != self.width() {
            return self.append_null();
        }
        self.values.extend_from_slice(value);
        self.nulls.append_non_null();
    }

    /// Appends a value of 8 bytes, or one whose bytes are the lowest ones of this integer.
    #[inline]
    pub fn append_word(&mut self, value: i64) {
        match self.width {
            Width::Eight => self.append_bytes(&value.to_le_bytes()),
            Width::Four | Width::Sixteen => self.append_integer(Some(value.into())),
        }
    }

    /// Appends a value whose bytes are the lowest ones of this integer, or null.
    pub fn append_integer(&mut self, value: Option<i128>) {
        let width = self.width();
        match value {
            Some(value) => self.append_bytes(&value.to_le_bytes()[..width]),
            None => self.append_null(),
        }
    }

    /// Appends null.
    #[inline]
    pub fn append_null(&mut self) {
        self.values.resize(self.values.len() + self.width(), 0);
        self.nulls.append_null();
    }

    /// The column so far; the next one starts empty.
    pub fn finish(&mut self) -> ArrayRef {
        let rows = self.values.len() / self.width.bytes();
        let values = Buffer::from_vec(std::mem::take(&mut self.values));
        // There are as many bytes as the rows need.
        fixed_array(self.kind, rows, values, self.nulls.finish())
            .unwrap_or_else(|| new_empty_array(&self.kind.data_type()))
    }
}

impl ColumnBuilder {
    /// Makes an empty column of this kind.
    pub fn new(kind: Kind) -> ColumnBuilder {
        match (kind, kind.layout()) {
            (_, Layout::Bits) => ColumnBuilder::Bits(BooleanBuilder::new()),
            (_, Layout::Fixed(_)) => ColumnBuilder::Fixed(FixedBuilder::new(kind)),
            (Kind::Utf8, _) => ColumnBuilder::Utf8(StringBuilder::new()),
            _ => ColumnBuilder::Binary(BinaryBuilder::new()),
        }
    }

    /// Appends the value of this text, or null. The error says what the text isn't, and nothing was appended.
    pub fn append_text(&mut self, text: Option<&str>) -> Result<(), Misread> {
        match self {
            ColumnBuilder::Bits(column) => column.append_option(text.map(boolean).transpose()?),
            ColumnBuilder::Utf8(column) => column.append_option(text),
            ColumnBuilder::Binary(column) => column.append_option(text),
            ColumnBuilder::Fixed(column) => {
                let value = text.map(|text| read(column.kind, text)).transpose()?;
                column.append_integer(value);
            }
        }
        Ok(())
    }

    /// Appends null.
    pub fn append_null(&mut self) {
        match self {
            ColumnBuilder::Bits(column) => column.append_null(),
            ColumnBuilder::Fixed(column) => column.append_null(),
            ColumnBuilder::Utf8(column) => column.append_null(),
            ColumnBuilder::Binary(column) => column.append_null(),
        }
    }

    /// The column so far; the next one starts empty.
    pub fn finish(&mut self) -> ArrayRef {
        match self {
            ColumnBuilder::Bits(column) => Arc::new(column.finish()),
            ColumnBuilder::Fixed(column) => column.finish(),
            ColumnBuilder::Utf8(column) => Arc::new(column.finish()),
            ColumnBuilder::Binary(column) => Arc::new(column.finish()),
        }
    }
}

/// Reason why a text is no value of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misread {
    /// The text has another form.
    Form,
    /// The number has more digits after the point than the kind.
    Fraction,
    /// The number is too large or too small.
    Range,
}

impl From<NoDecimal> for Misread {
    fn from(no: NoDecimal) -> Misread {
        match no {
            NoDecimal::Text => Misread::Form,
            NoDecimal::Fraction => Misread::Fraction,
            NoDecimal::Range => Misread::Range,
        }
    }
}

/// Reads the text of a truth value, in whatever case.
pub(crate) fn boolean(text: &str) -> Result<bool, Misread> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Misread::Form),
    }
}

/// Reads the text as a value of a kind of fixed width: the integer whose lowest bytes are the value's.
pub fn read(kind: Kind, text: &str) -> Result<i128, Misread> {
    let text = text.trim();
    match kind {
        Kind::Int64 => match whole(text, 0) {
            Some(Whole::Exact(value)) => Ok(value.into()),
            Some(Whole::Cut(_)) => Err(Misread::Fraction),
            None => Err(Misread::Form),
        },
        Kind::Float64 => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value.to_bits().cast_signed().into()),
            Ok(_) => Err(Misread::Range),
            Err(_) => Err(Misread::Form),
        },
        Kind::Timestamp => time::parse(text).map(i128::from).ok_or(Misread::Form),
        Kind::Date => time::parse_date(text).map(i128::from).ok_or(Misread::Form),
        Kind::Decimal(decimal) => Ok(decimal.read(text)?),
        Kind::Boolean | Kind::Utf8 | Kind::Binary => Err(Misread::Form),
    }
}

/// The text of a value of a kind of fixed width, which [`read`] reads as the same value. None if it has none: a time of no calendar.
fn shown(kind: Kind, value: i128) -> Option<String> {
    // The value is of the kind's width.
    let word = || i64::try_from(value).ok();
    match kind {
        Kind::Int64 => Some(value.to_string()),
        Kind::Float64 => Some(f64::from_bits(word()?.cast_unsigned()).to_string()),
        Kind::Timestamp => time::shown(word()?),
        Kind::Date => time::shown_date(i32::try_from(value).ok()?),
        Kind::Decimal(decimal) => Some(decimal.shown(value)),
        Kind::Boolean | Kind::Utf8 | Kind::Binary => None,
    }
}

/// The values of a column as texts, which [`ColumnBuilder::append_text`] reads as the same values.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    kind: Kind,
    values: Values<'a>,
}

impl<'a> Texts<'a> {
    /// The texts of an array; none if its type is of no kind.
    pub fn of(array: &'a ArrayRef) -> Option<Texts<'a>> {
        Some(Texts { kind: Kind::of(array.data_type())?, values: Values::of(array)? })
    }

    /// The text of the row's value. None if it is null, or has no text: bytes that are none, a time of no calendar.
    pub fn get(&self, row: usize) -> Option<String> {
        match self.values {
            Values::Bits(array) => array.is_valid(row).then(|| array.value(row).to_string()),
            Values::Four(_) | Values::Eight(_) | Values::Sixteen(_) => {
                self.values.integer(row).and_then(|value| shown(self.kind, value))
            }
            Values::Bytes(values) => values.get(row).and_then(|text| Some(std::str::from_utf8(text).ok()?.to_owned())),
        }
    }
}

/// The first row whose value its kind can't hold: a decimal of more digits than its precision, say. Arrays that others made are
/// checked with it.
pub fn beyond_kind(array: &ArrayRef) -> Option<usize> {
    let (least, most) = Kind::of(array.data_type())?.bounds()?;
    let values = Values::of(array)?;
    (0..array.len()).find(|row| values.integer(*row).is_some_and(|value| !(least..=most).contains(&value)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decimal::Decimal;

    fn fixed() -> impl Strategy<Value = (Kind, Vec<Option<i128>>)> {
        let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| matches!(kind.layout(), Layout::Fixed(_))).collect();
        prop::sample::select(kinds).prop_flat_map(|kind| {
            let (least, most) = kind.bounds().unwrap_or((i64::MIN.into(), i64::MAX.into()));
            (Just(kind), prop::collection::vec(prop::option::of(least..=most), 0..20))
        })
    }

    fn column(kind: Kind, values: &[Option<i128>]) -> ArrayRef {
        let mut column = ColumnBuilder::new(kind);
        let ColumnBuilder::Fixed(builder) = &mut column else { panic!("{kind} is of no fixed width") };
        values.iter().for_each(|value| builder.append_integer(*value));
        column.finish()
    }

    proptest! {
        #[test]
        fn values_are_read_as_they_were_built_of_whatever_kind((kind, values) in fixed()) {
            let array = column(kind, &values);
            prop_assert_eq!((array.len(), array.data_type().clone()), (values.len(), kind.data_type()));
            let read = Values::of(&array).unwrap();
            for (row, value) in values.iter().enumerate() {
                prop_assert_eq!(read.integer(row), *value);
            }
            for start in 0..=values.len() {
                let sliced = array.slice(start, values.len() - start);
                let read = Values::of(&sliced).unwrap();
                prop_assert!((start..values.len()).all(|row| read.integer(row - start) == values[row]));
            }
        }

        #[test]
        fn a_text_is_read_as_the_value_that_it_was_shown_of((kind, values) in fixed()) {
            let array = column(kind, &values);
            let (texts, mut back) = (Texts::of(&array).unwrap(), ColumnBuilder::new(kind));
            let shown: Vec<Option<String>> = (0..values.len()).map(|row| texts.get(row)).collect();
            let all_shown = shown.iter().zip(&values).all(|(text, value)| text.is_some() == value.is_some());
            let finite = |text: &Option<String>| text.as_deref().is_none_or(|text| !text.contains(['N', 'i']));
            if all_shown && shown.iter().all(finite) {
                shown.iter().for_each(|text| back.append_text(text.as_deref()).unwrap());
                prop_assert_eq!(&back.finish(), &array);
            }
        }
    }

    #[test]
    fn texts_and_truth_values_are_read_as_they_are_shown() {
        for (kind, texts) in
            [(Kind::Utf8, [Some("a"), None, Some("")]), (Kind::Boolean, [Some("true"), None, Some("false")])]
        {
            let mut column = ColumnBuilder::new(kind);
            texts.iter().for_each(|text| column.append_text(*text).unwrap());
            let array = column.finish();
            let shown: Vec<Option<String>> = (0..3).map(|row| Texts::of(&array).unwrap().get(row)).collect();
            assert_eq!(shown, texts.map(|text| text.map(str::to_owned)));
        }
    }

    #[test]
    fn what_is_no_value_says_why_and_appends_nothing() {
        let misread = |kind: &str, text| {
            let mut column = ColumnBuilder::new(kind.parse().unwrap());
            let misread = column.append_text(Some(text)).unwrap_err();
            assert_eq!(column.finish().len(), 0);
            misread
        };
        assert_eq!(misread("int64", "1.5"), Misread::Fraction);
        assert_eq!(misread("int64", "one"), Misread::Form);
        assert_eq!(misread("float64", "1e999"), Misread::Range);
        assert_eq!(misread("boolean", "1"), Misread::Form);
        assert_eq!(misread("timestamp", "now"), Misread::Form);
        assert_eq!(misread("decimal(3, 1)", "100"), Misread::Range);
        assert_eq!(misread("decimal(3, 1)", "0.25"), Misread::Fraction);
    }

    #[test]
    fn a_decimal_of_more_digits_than_its_kind_has_is_found() {
        let kind: Kind = "decimal(3, 1)".parse().unwrap();
        for (values, beyond) in [(&[Some(999), None, Some(-999)][..], None), (&[None, Some(1), Some(-1000)], Some(2))] {
            assert_eq!(beyond_kind(&column(kind, values)), beyond);
        }
        assert_eq!(beyond_kind(&column(Kind::Int64, &[Some(i64::MAX.into())])), None);
    }

    #[test]
    fn buffers_of_too_few_bytes_or_of_a_kind_without_a_width_are_no_array() {
        let bytes = || Buffer::from_vec(vec![0_u8; 15]);
        assert!(fixed_array(Kind::Int64, 2, bytes(), None).is_none());
        assert!(fixed_array(Kind::Decimal(Decimal::USUAL), 1, bytes(), None).is_none());
        assert!(fixed_array(Kind::Boolean, 1, bytes(), None).is_none());
        assert!(fixed_array(Kind::Int64, 1, bytes(), None).is_some());
        assert!(fixed_array(Kind::Int64, 1, bytes(), Some(NullBuffer::new_null(2))).is_none());
    }
}
