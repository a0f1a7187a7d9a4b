//! Rows made up from a seed.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, BooleanArray, StringArray};
use fastrand::Rng;
use sluice_core::column::FixedBuilder;
use sluice_core::{Field, Kind};

use super::PROBE_ROWS;

/// Distance of nulls: one value of so many is null.
const NULL_EVERY: u8 = 8;

/// 2021-08-16T00:00:00, in microseconds.
const A_DAY: i64 = 1_629_072_000_000_000;

/// Texts that operators cast, trim and look into.
const TEXTS: [&str; 10] =
    ["", "a", "B c", " 7 ", "42", "-3", "1.5", "2021-08-16 09:48:01", "2021-08-16 09:48:01.25", "直播é"];

/// Numbers at which arithmetic ends.
const INTEGERS: [i64; 8] = [i64::MIN, i64::MIN + 1, -1, 0, 1, 1 << 53, i64::MAX - 1, i64::MAX];

/// Floats, as [`INTEGERS`].
const FLOATS: [f64; 10] =
    [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, f64::MIN, f64::MAX, f64::MIN_POSITIVE, 1e300, 0.1];

/// Texts that are hard on parsers.
const STRANGE: [&str; 8] = [
    "\0",
    "\u{feff}x",
    "9223372036854775808",
    "1e999",
    "0000-00-00 00:00:00",
    "2021-02-29 24:00:60",
    "\u{10ffff}",
    "١٢",
];

/// The length of a long text.
const LONG: usize = 4 << 10;

/// Rows as data mostly is: few different values, so that they make groups, and no sum of them is inexact or overflows.
pub(super) fn ordinary(fields: &[Field], seed: u64) -> Vec<ArrayRef> {
    let mut random = Rng::with_seed(seed);
    let column = |field: &Field| -> ArrayRef {
        match field.kind {
            Kind::Boolean => Arc::new(BooleanArray::from_iter(values(&mut random, Rng::bool))),
            // Quarters add up exactly, in whatever order.
            Kind::Float64 => fixed(field.kind, &mut random, |r| float(f64::from(r.i32(-80..80)) / 4.0)),
            Kind::Utf8 => Arc::new(StringArray::from_iter(values(&mut random, |r| one_of(r, &TEXTS)))),
            Kind::Binary => Arc::new(BinaryArray::from_iter(values(&mut random, |r| one_of(r, &TEXTS).as_bytes()))),
            Kind::Timestamp => fixed(field.kind, &mut random, |r| (A_DAY + r.i64(0..86_400) * 1_000_000).into()),
            kind => {
                let (least, most) = kind.bounds().unwrap_or((-20, 20));
                fixed(kind, &mut random, |r| r.i128(least.max(-20)..=most.min(20)))
            }
        }
    };
    fields.iter().map(column).collect()
}

/// Rows at the ends of what their types can hold.
pub(super) fn extreme(fields: &[Field], seed: u64) -> Vec<ArrayRef> {
    let mut random = Rng::with_seed(seed.wrapping_add(1));
    let long = "é".repeat(LONG / 2);
    let texts: Vec<&str> = STRANGE.iter().copied().chain([long.as_str()]).collect();
    let column = |field: &Field| -> ArrayRef {
        match field.kind {
            Kind::Boolean => Arc::new(BooleanArray::from_iter(values(&mut random, Rng::bool))),
            Kind::Float64 => fixed(field.kind, &mut random, |r| float(one_of(r, &FLOATS))),
            Kind::Utf8 => Arc::new(StringArray::from_iter(values(&mut random, |r| one_of(r, &texts)))),
            Kind::Binary => Arc::new(BinaryArray::from_iter(values(&mut random, |r| {
                (0..r.usize(..20)).map(|_| r.u8(..)).collect::<Vec<u8>>()
            }))),
            kind => match kind.bounds() {
                Some((least, most)) => {
                    let ends = [least, least + 1, -1, 0, 1, most - 1, most];
                    fixed(kind, &mut random, |r| one_of(r, &ends))
                }
                None => fixed(kind, &mut random, |r| one_of(r, &INTEGERS).into()),
            },
        }
    };
    fields.iter().map(column).collect()
}

/// A column of a kind of fixed width, of values as the integers that their bytes are.
fn fixed(kind: Kind, random: &mut Rng, value: impl FnMut(&mut Rng) -> i128) -> ArrayRef {
    let mut column = FixedBuilder::new(kind);
    values(random, value).into_iter().for_each(|value| column.append_integer(value));
    column.finish()
}

fn float(value: f64) -> i128 {
    value.to_bits().cast_signed().into()
}

fn one_of<T: Copy>(random: &mut Rng, values: &[T]) -> T {
    values[random.usize(..values.len())]
}

/// A value or null for each row.
fn values<T>(random: &mut Rng, mut value: impl FnMut(&mut Rng) -> T) -> Vec<Option<T>> {
    (0..PROBE_ROWS).map(|_| (random.u8(..NULL_EVERY) > 0).then(|| value(random))).collect()
}
