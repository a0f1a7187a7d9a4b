//! The kinds of fixed width: what each is in Rust, and in a column's bytes. A further one is a line here, and its name in `schema.rs`.

use std::fmt;

use crate::contract::{Column, Kind};
use crate::decimal::{self, Decimal};
use crate::read::{Read, words};
use crate::testing::{Sample, Value};
use crate::timestamp::{Date, Timestamp};
use crate::write::Write;

/// A type whose values are so many bytes in the column: from and to an integer of them, and as a value of a test's table.
macro_rules! fixed {
    ([$($generics:tt)*] $type:ty, $kind:expr, $integer:ty, $from:expr, $to:expr, $sample:expr) => {
        impl<'a, $($generics)*> Read<'a> for $type {
            const KIND: Kind = $kind;
            type Values = &'a [[u8; size_of::<$integer>()]];

            #[inline]
            fn values(column: &'a Column, rows: usize) -> Result<Self::Values, String> {
                words(column, rows)
            }

            #[inline]
            fn get(values: &Self::Values, row: usize) -> $type {
                $from(<$integer>::from_le_bytes(values[row]))
            }
        }

        impl<$($generics)*> Write for $type {
            const KIND: Kind = $kind;
            type Buffer = Vec<[u8; size_of::<$integer>()]>;

            #[inline(always)]
            fn put(self, row: usize, words: &mut Self::Buffer) -> bool {
                words[row] = <$integer>::to_le_bytes($to(self));
                true
            }
        }

        impl<$($generics)*> Sample for $type {
            fn value(self) -> Value {
                $sample(self)
            }
        }
    };
}

fixed!([] i64, Kind::Int64, i64, |it| it, |it| it, Value::Int64);
fixed!([] f64, Kind::Float64, f64, |it| it, |it| it, Value::Float64);
fixed!([] Timestamp, Kind::Timestamp, i64, Timestamp::from_micros, Timestamp::micros, Value::Timestamp);
fixed!([] Date, Kind::Date, i32, Date::of_column, Date::days, |it: Date| Value::Fixed(Kind::Date, it.days().into()));
fixed!([const P: u8, const S: u8] Decimal<P, S>, Self::KIND, i128, Decimal::of_column, Self::unscaled, |it: Self| {
    Value::Fixed(Self::KIND, it.unscaled())
});

/// The value of a test's table, of these kinds but the oldest, as SQL writes it.
pub(crate) fn show(kind: Kind, value: i128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        Kind::Date => fmt::Display::fmt(&Date::of_column(value as i32), f),
        Kind::Decimal(decimal) => decimal::show(value, decimal.scale, f),
        _ => fmt::Display::fmt(&value, f),
    }
}

/// The bytes of a value of these kinds.
pub(crate) fn width(kind: Kind) -> usize {
    match kind {
        Kind::Date => 4,
        Kind::Decimal(_) => 16,
        _ => 8,
    }
}
