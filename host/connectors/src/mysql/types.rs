//! The kinds that MySQL's column types take.

use sluice_core::{Decimal, Kind};

use crate::sink::Constraint;
use crate::sql::Digits;

/// Microseconds from 1970-01-01T00:00:00 to 0001-01-01T00:00:00 and to 9999-12-31T23:59:59.999999.
const DATETIMES: (i64, i64) = (-62_135_596_800_000_000, 253_402_300_799_999_999);

/// `TIMESTAMP`'s seconds since 1970 (UTC), less the widest zones' offsets on either side: what any session's zone takes.
const TIMESTAMPS: (i64, i64) = ((1 + 14 * 3600) * 1_000_000, (i32::MAX as i64 - 12 * 3600) * 1_000_000);

/// The digits of a second's fraction that a timestamp has.
const MICROS: u32 = 6;

/// A column's type, as `information_schema.columns` has it.
#[derive(Debug, Clone, Default)]
pub(super) struct ColumnType {
    /// `bigint`, `varchar`, …
    pub(super) name: String,
    /// True if the type has no negative numbers.
    pub(super) unsigned: bool,
    /// The longest text, in characters.
    pub(super) chars: Option<u64>,
    /// The longest text or binary, in bytes.
    pub(super) bytes: Option<u64>,
    /// The digits of a decimal, or of a float for which they are declared: all of them, and those after the point.
    pub(super) digits: Option<(u32, u32)>,
    /// The digits of a time's seconds after the point.
    pub(super) fraction: Option<u32>,
}

impl ColumnType {
    /// The kinds that it takes, and which values of them. Of one it may keep less: [`ColumnType::rounds`].
    pub(super) fn takes(&self, nullable: bool) -> (&'static [Kind], Constraint) {
        let any = Constraint { nullable, ..Constraint::ANY };
        let bytes = self.bytes.and_then(|n| usize::try_from(n).ok());
        match self.name.as_str() {
            "tinyint" => self.integer(8, any),
            "smallint" => self.integer(16, any),
            "mediumint" => self.integer(24, any),
            "int" => self.integer(32, any),
            "bigint" => self.integer(64, any),
            "bit" => (&[Kind::Boolean], any),
            "decimal" => {
                let (range, floats) = (self.decimal_range(), self.decimal_floats());
                (&[Kind::Int64, Kind::Float64, Kind::Decimal(Decimal::USUAL)], Constraint { range, floats, ..any })
            }
            "float" => self.float(f32::MAX.into(), any),
            "double" => self.float(f64::MAX, any),
            // Spaces at the end of a `CHAR` don't come back.
            "char" | "varchar" => {
                let max_chars = self.chars.and_then(|n| usize::try_from(n).ok());
                (&[Kind::Utf8], Constraint { max_chars, end_space: self.name == "varchar", ..any })
            }
            "tinytext" | "text" | "mediumtext" | "longtext" => (&[Kind::Utf8], Constraint { max_bytes: bytes, ..any }),
            // MySQL's own, which writes the text anew; MariaDB's is a text with a CHECK.
            "json" => (&[Kind::Utf8], any),
            // Filled up with zeros.
            "binary" => (&[Kind::Binary], Constraint { min_bytes: bytes, max_bytes: bytes, ..any }),
            "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                (&[Kind::Binary, Kind::Utf8], Constraint { max_bytes: bytes, ..any })
            }
            "date" => (&[Kind::Date], any),
            "datetime" => (&[Kind::Timestamp], Constraint { times: Some(self.times(DATETIMES)), ..any }),
            "timestamp" => (&[Kind::Timestamp], Constraint { times: Some(self.times(TIMESTAMPS)), ..any }),
            _ => (&[], any),
        }
    }

    /// The kind of which it keeps values less exactly than they are, and the type that keeps them.
    pub(super) fn rounds(&self) -> Option<(Kind, &'static str)> {
        let cuts_times = self.fraction.is_some_and(|digits| digits < MICROS);
        match self.name.as_str() {
            "float" | "decimal" => Some((Kind::Float64, "DOUBLE")),
            "double" if self.digits.is_some() => Some((Kind::Float64, "DOUBLE")),
            "json" => Some((Kind::Utf8, "LONGTEXT")),
            "datetime" if cuts_times => Some((Kind::Timestamp, "DATETIME(6)")),
            "timestamp" if cuts_times => Some((Kind::Timestamp, "TIMESTAMP(6)")),
            _ => None,
        }
    }

    /// The digits of a decimal.
    pub(super) fn decimal(&self) -> Option<Digits> {
        let (all, fraction) = self.digits.filter(|_| self.name == "decimal")?;
        Some(Digits { whole: all.saturating_sub(fraction), fraction, unsigned: self.unsigned })
    }

    /// A time that is rounded up must not pass the last one.
    fn times(&self, (first, last): (i64, i64)) -> (i64, i64) {
        let unit = 10i64.pow(MICROS - self.fraction.unwrap_or(MICROS).min(MICROS));
        (first, last - last.rem_euclid(unit))
    }

    fn integer(&self, bits: u32, any: Constraint) -> (&'static [Kind], Constraint) {
        let max = if self.unsigned { u64::MAX >> (64 - bits) } else { i64::MAX as u64 >> (64 - bits) };
        let min = if self.unsigned { 0 } else { i64::MIN >> (64 - bits) };
        let range = (min, i64::try_from(max).unwrap_or(i64::MAX));
        (&[Kind::Int64, Kind::Boolean], Constraint { range: Some(range), ..any })
    }

    /// The kinds and the constraint of a type without NaN and infinities.
    fn float(&self, max: f64, any: Constraint) -> (&'static [Kind], Constraint) {
        let max = self.decimal_floats().map_or(max, |(_, declared)| max.min(declared));
        let min = if self.unsigned { 0.0 } else { -max };
        (&[Kind::Float64], Constraint { floats: Some((min, max)), ..any })
    }

    fn decimal_range(&self) -> Option<(i64, i64)> {
        let (all, fraction) = self.digits?;
        let max = 10i64.checked_pow(all.saturating_sub(fraction)).map_or(i64::MAX, |power| power - 1);
        Some((if self.unsigned { 0 } else { -max }, max))
    }

    fn decimal_floats(&self) -> Option<(f64, f64)> {
        let (all, fraction) = self.digits?;
        let beyond = 10f64.powi(i32::try_from(all.saturating_sub(fraction)).ok()?);
        // Of many digits a float holds only the first: the one below is then further away than the last digit.
        let max = (beyond - 10f64.powi(-i32::try_from(fraction).ok()?)).min(beyond.next_down());
        Some((if self.unsigned { 0.0 } else { -max }, max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(name: &str, unsigned: bool) -> (i64, i64) {
        let (kinds, takes) = ColumnType { name: name.into(), unsigned, ..Default::default() }.takes(true);
        assert!(kinds.contains(&Kind::Int64));
        takes.range.unwrap()
    }

    #[test]
    fn integer_columns_take_the_ranges_of_the_manual() {
        assert_eq!(range("tinyint", false), (-128, 127));
        assert_eq!(range("tinyint", true), (0, 255));
        assert_eq!(range("smallint", false), (-32_768, 32_767));
        assert_eq!(range("mediumint", false), (-8_388_608, 8_388_607));
        assert_eq!(range("mediumint", true), (0, 16_777_215));
        assert_eq!(range("int", false), (i32::MIN.into(), i32::MAX.into()));
        assert_eq!(range("int", true), (0, u32::MAX.into()));
        assert_eq!(range("bigint", false), (i64::MIN, i64::MAX));
        assert_eq!(range("bigint", true), (0, i64::MAX));
    }

    #[test]
    fn a_decimal_takes_the_integers_that_its_digits_before_the_point_hold() {
        let decimal = |digits| ColumnType { name: "decimal".into(), digits: Some(digits), ..Default::default() };
        assert_eq!(decimal((10, 2)).takes(true).1.range, Some((-99_999_999, 99_999_999)));
        assert_eq!(decimal((38, 0)).takes(true).1.range, Some((-i64::MAX, i64::MAX)));
        assert_eq!(decimal((5, 2)).takes(true).1.floats, Some((-999.99, 999.99)));
        assert!(decimal((20, 2)).takes(true).1.floats.unwrap().1 < 1e18);
    }

    #[test]
    fn a_varchar_is_bounded_by_characters_and_a_text_by_bytes() {
        let column =
            |name: &str| ColumnType { name: name.into(), chars: Some(64), bytes: Some(256), ..Default::default() };
        let (_, varchar) = column("varchar").takes(false);
        assert_eq!((varchar.max_chars, varchar.max_bytes, varchar.nullable), (Some(64), None, false));
        let (_, text) = column("text").takes(true);
        assert_eq!((text.max_chars, text.max_bytes), (None, Some(256)));
    }

    #[test]
    fn json_takes_texts_that_it_writes_in_its_own_way() {
        let json = ColumnType { name: "json".into(), ..ColumnType::default() };
        assert_eq!((json.takes(true).0, json.rounds()), (&[Kind::Utf8][..], Some((Kind::Utf8, "LONGTEXT"))));
    }

    #[test]
    fn types_that_would_change_a_value_take_nothing() {
        for name in ["enum", "set", "time", "year", "geometry", "uuid"] {
            assert!(ColumnType { name: name.into(), ..Default::default() }.takes(true).0.is_empty(), "{name}");
        }
    }
}
