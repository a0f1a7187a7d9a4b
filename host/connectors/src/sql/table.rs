//! A table as its server describes it.

use std::borrow::Cow;

use sluice_core::Kind;

use crate::sink::Constraint;

/// Table, with the facts that matter for a sink.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    /// The columns in the table's order.
    pub(crate) columns: Vec<Column>,
    /// Unique indexes, with the primary key.
    pub(crate) unique: Vec<UniqueIndex>,
}

/// Column, with the values that may be written into it.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Type of the column, as the server shows it.
    pub(crate) declared: String,
    /// Character set of a text, where the server says it.
    pub(crate) charset: Option<String>,
    /// Kinds that the column accepts.
    pub(crate) kinds: &'static [Kind],
    /// Kind whose values the column may round, and the type that would keep them exactly.
    pub(crate) rounds: Option<(Kind, &'static str)>,
    /// Digits of a decimal column; none where it isn't one, or keeps any.
    pub(crate) digits: Option<Digits>,
    /// Values that the column accepts, of any kind.
    pub(crate) takes: Constraint,
    /// True if a row may be inserted without the column: it has a default, counts by itself, or is null then.
    pub(crate) optional: bool,
    /// True if the server counts the column up, so that two inserts never clash in it.
    pub(crate) counts: bool,
    /// True if the server computes the column and refuses values for it.
    pub(crate) generated: bool,
}

/// The digits that a decimal column keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digits {
    /// Before the point.
    pub(crate) whole: u32,
    /// After it.
    pub(crate) fraction: u32,
    /// True if it takes no negative number.
    pub(crate) unsigned: bool,
}

impl Digits {
    /// The integers of this kind that the column takes: those that have too many digits after the point are rounded. None if it takes
    /// all of them.
    fn range(&self, kind: Kind) -> Option<(i128, i128)> {
        let Kind::Decimal(decimal) = kind else { return None };
        let scale = u32::from(decimal.scale());
        let kept = 10_i128.checked_pow(self.whole + self.fraction.min(scale))? - 1;
        let max = match 10_i128.checked_pow(scale.saturating_sub(self.fraction))? {
            1 => kept,
            // The half of the last digit would be rounded up.
            unit => kept.checked_mul(unit)?.checked_add(unit / 2 - 1)?,
        };
        Some((if self.unsigned { 0 } else { -max }, max))
    }
}

impl Column {
    /// The type that would keep the values of this kind exactly, if the column may round them.
    pub(crate) fn rounds(&self, kind: Kind) -> Option<Cow<'static, str>> {
        match (kind, self.digits, self.rounds) {
            (Kind::Decimal(decimal), Some(digits), _) => {
                let scale = u32::from(decimal.scale());
                let exact = || format!("DECIMAL({}, {scale})", digits.whole + scale).into();
                (scale > digits.fraction).then(exact)
            }
            (_, _, Some((rounded, exact))) => (rounded == kind).then_some(exact.into()),
            _ => None,
        }
    }

    /// The constraint that it puts on values of this kind.
    pub(crate) fn constraint(&self, kind: Kind) -> Constraint {
        let sized = matches!(kind, Kind::Utf8 | Kind::Binary);
        Constraint {
            nullable: self.takes.nullable,
            range: self.takes.range.filter(|_| kind == Kind::Int64),
            floats: self.takes.floats.filter(|_| kind == Kind::Float64),
            decimals: self.digits.and_then(|digits| digits.range(kind)),
            max_chars: self.takes.max_chars.filter(|_| sized),
            max_char: self.takes.max_char.filter(|_| kind == Kind::Utf8),
            end_space: self.takes.end_space || kind != Kind::Utf8,
            min_bytes: self.takes.min_bytes.filter(|_| kind == Kind::Binary),
            max_bytes: self.takes.max_bytes.filter(|_| sized),
            times: self.takes.times.filter(|_| kind == Kind::Timestamp),
        }
    }
}

/// Columns of which no two rows have the same values.
#[derive(Debug, Clone)]
pub(crate) struct UniqueIndex {
    pub(crate) name: String,
    pub(crate) primary: bool,
    pub(crate) columns: Vec<String>,
    /// True if the index covers every row by the whole values of its columns: not by a prefix or an expression, and not only some
    /// rows.
    pub(crate) whole: bool,
    /// Columns in which the index takes different texts for the same.
    pub(crate) alike: Vec<Alike>,
}

/// A column of an index whose collation takes texts for the same that differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alike {
    pub(crate) column: String,
    pub(crate) collation: String,
    /// True if the keys differ only in spaces at the end.
    pub(crate) by_padding: bool,
}

impl Table {
    /// The column of this name; both databases ignore its case.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_core::Decimal;

    use super::*;

    proptest! {
        #[test]
        fn a_decimal_column_takes_what_is_within_its_digits_once_it_is_rounded(
            whole in 0u32..6, fraction in 0u32..5, scale in 0u8..7, number in -10_000_000i128..10_000_000, unsigned: bool,
        ) {
            let digits = Digits { whole, fraction, unsigned };
            let (low, high) = digits.range(Kind::Decimal(Decimal::new(38, scale).unwrap())).unwrap();
            // Half up, away from zero, as both servers round.
            let unit = 10_i128.pow(u32::from(scale).saturating_sub(fraction));
            let rounded = (number.abs() + unit / 2) / unit * number.signum();
            let kept = u32::from(scale).min(fraction);
            let fits = rounded.abs() < 10_i128.pow(whole + kept) && !(unsigned && number < 0);
            prop_assert_eq!((low..=high).contains(&number), fits, "{} to {}", low, high);
        }
    }

    #[test]
    fn a_decimal_of_more_digits_than_the_columns_is_rounded_and_the_type_that_keeps_it_is_named() {
        let digits = Some(Digits { whole: 8, fraction: 2, unsigned: false });
        let column = Column {
            name: "amount".into(),
            declared: "decimal(10,2)".into(),
            charset: None,
            kinds: &[],
            rounds: Some((Kind::Float64, "DOUBLE")),
            digits,
            takes: Constraint::ANY,
            optional: true,
            counts: false,
            generated: false,
        };
        let rounds = |kind: &str| column.rounds(kind.parse().unwrap());
        assert_eq!((rounds("decimal(18, 2)"), rounds("int64")), (None, None));
        assert_eq!(rounds("decimal(18, 4)").as_deref(), Some("DECIMAL(12, 4)"));
        assert_eq!(rounds("float64").as_deref(), Some("DOUBLE"));
    }
}
