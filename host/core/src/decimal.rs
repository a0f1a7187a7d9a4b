//! Decimals: numbers of a fixed number of digits, which are kept as integers and never become floats.

use std::fmt;

use crate::number::{Whole, integer};

/// The most digits that fit an `i128`, which is how Arrow keeps a `Decimal128`.
const MAX_PRECISION: u8 = 38;

/// The precision and scale of a decimal column. A value is an integer, the number times ten to the power of the scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    precision: u8,
    scale: u8,
}

/// Reason why a text is no decimal of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDecimal {
    /// The text isn't a number, or is one far beyond any decimal.
    Text,
    /// The number has more digits after the point than the scale.
    Fraction,
    /// The number has more digits before the point than the precision leaves.
    Range,
}

impl Decimal {
    /// Money, as it is mostly kept: it stands for all decimals where kinds are listed.
    pub const USUAL: Decimal = Decimal { precision: 18, scale: 2 };

    /// A decimal of `precision` digits, 1 to 38, of which `scale` are after the point.
    pub const fn new(precision: u8, scale: u8) -> Option<Decimal> {
        let fits = precision >= 1 && precision <= MAX_PRECISION && scale <= precision;
        if fits { Some(Decimal { precision, scale }) } else { None }
    }

    /// The number of digits.
    pub const fn precision(self) -> u8 {
        self.precision
    }

    /// The number of digits after the point.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// The largest integer that a value can be; the smallest is its negative.
    pub const fn max(self) -> i128 {
        10_i128.pow(self.precision as u32) - 1
    }

    /// Returns true if a value can be this integer.
    pub const fn holds(self, unscaled: i128) -> bool {
        -self.max() <= unscaled && unscaled <= self.max()
    }

    /// Reads a number in any notation, `1.5`, `15e-1` or `1.50`, as it is: it is never rounded.
    pub fn read(self, text: &str) -> Result<i128, NoDecimal> {
        match integer(text, self.scale.into()) {
            Some(Whole::Exact(unscaled)) if self.holds(unscaled) => Ok(unscaled),
            Some(Whole::Exact(_)) => Err(NoDecimal::Range),
            Some(Whole::Cut(_)) => Err(NoDecimal::Fraction),
            None => Err(NoDecimal::Text),
        }
    }

    /// Reads a number and rounds it half up, away from zero, to the scale: as Flink does.
    pub fn read_rounded(self, text: &str) -> Result<i128, NoDecimal> {
        // One digit more says which way: what follows it can't change that.
        let (Whole::Exact(longer) | Whole::Cut(longer)) =
            integer(text, i64::from(self.scale) + 1).ok_or(NoDecimal::Text)?;
        let unscaled = longer / 10 + longer % 10 / 5;
        if self.holds(unscaled) { Ok(unscaled) } else { Err(NoDecimal::Range) }
    }

    /// The value as text, with all digits of the scale: `-1.50`.
    pub fn shown(self, unscaled: i128) -> String {
        let sign = if unscaled < 0 { "-" } else { "" };
        let digits = unscaled.unsigned_abs();
        let unit = 10_u128.pow(self.scale.into());
        match usize::from(self.scale) {
            0 => format!("{sign}{digits}"),
            scale => format!("{sign}{}.{:0scale$}", digits / unit, digits % unit),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decimal({}, {})", self.precision, self.scale)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decimals() -> impl Strategy<Value = Decimal> {
        (1..=MAX_PRECISION)
            .prop_flat_map(|precision| (Just(precision), 0..=precision))
            .prop_map(|(precision, scale)| Decimal::new(precision, scale).unwrap())
    }

    fn of(precision: u8, scale: u8) -> Decimal {
        Decimal::new(precision, scale).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back_rounded_or_not(decimal in decimals(), number: i128) {
            let unscaled = number % (decimal.max() + 1);
            let text = decimal.shown(unscaled);
            prop_assert_eq!(decimal.read(&text), Ok(unscaled));
            prop_assert_eq!(decimal.read(&format!("{text}e0")), Ok(unscaled));
            if decimal.precision() < MAX_PRECISION {
                prop_assert_eq!(decimal.read_rounded(&text), Ok(unscaled));
            }
        }

        #[test]
        fn a_number_that_is_rounded_is_the_nearest_one(number in -100_000i64..100_000, scale in 0u8..5) {
            // Five digits after the point, which fewer are to hold.
            let text = of(10, 5).shown(number.into());
            let unit = 10_i128.pow(5 - u32::from(scale));
            let rounded = of(10, scale).read_rounded(&text).unwrap();
            let off = i128::from(number) - rounded * unit;
            prop_assert!(off.abs() * 2 < unit || (off.abs() * 2 == unit && (off < 0) == (number > 0)), "{text} {rounded}");
        }
    }

    #[test]
    fn the_digits_are_counted_before_and_after_the_point() {
        let money = of(5, 2);
        for text in ["999.99", "-999.99", "0", "1e2", "1.5", "1.500000", "99999e-2"] {
            assert!(money.read(text).is_ok(), "{text}");
        }
        assert_eq!(money.read("-1.5"), Ok(-150));
        assert_eq!(money.read("1000"), Err(NoDecimal::Range));
        assert_eq!(money.read("-1000.00"), Err(NoDecimal::Range));
        assert_eq!(money.read("0.001"), Err(NoDecimal::Fraction));
        assert_eq!(money.read("1,5"), Err(NoDecimal::Text));
        assert_eq!(money.read_rounded("999.995"), Err(NoDecimal::Range));
        assert_eq!(of(38, 0).read(&"9".repeat(38)), Ok(10_i128.pow(38) - 1));
        assert_eq!(of(38, 38).read(&format!("0.{}1", "0".repeat(37))), Ok(1));
    }

    #[test]
    fn no_decimal_has_more_digits_than_an_i128_or_more_after_the_point_than_in_all() {
        for (precision, scale) in [(0, 0), (39, 0), (5, 6)] {
            assert_eq!(Decimal::new(precision, scale), None);
        }
    }
}
