//! Decimals: exact numbers of a fixed number of digits, as money is.

use std::fmt;

use crate::contract;

/// A number of at most `PRECISION` digits, of which `SCALE` are after the point: the contract's `decimal`, SQL's
/// `DECIMAL(PRECISION, SCALE)`. It is never rounded: what doesn't fit is none.
///
/// ```
/// use sluice_sdk::Decimal;
///
/// let price = Decimal::<10, 2>::from_unscaled(1250).ok_or("too large")?;
/// let with_tax: Decimal<14, 4> = price.checked_mul(Decimal::<4, 2>::from_unscaled(119).ok_or("too large")?).ok_or("too large")?;
/// assert_eq!((price.to_string(), with_tax.to_string()), ("12.50".to_owned(), "14.8750".to_owned()));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal<const PRECISION: u8, const SCALE: u8>(i128);

impl<const PRECISION: u8, const SCALE: u8> Decimal<PRECISION, SCALE> {
    /// The kind of its columns.
    pub(crate) const KIND: contract::Kind = {
        assert!(PRECISION >= 1 && PRECISION <= 38, "a decimal has 1 to 38 digits");
        assert!(SCALE <= PRECISION, "a decimal has no more digits after the point than in all");
        contract::Kind::Decimal(contract::Decimal { precision: PRECISION, scale: SCALE })
    };

    /// The largest value; the smallest is its negative.
    pub const MAX: Self = Decimal(10_i128.pow(PRECISION as u32) - 1);

    /// The number `unscaled` divided by ten to the power of `SCALE`: of 1250, with two digits after the point, it is 12.50.
    #[inline]
    pub const fn from_unscaled(unscaled: i128) -> Option<Self> {
        if -Self::MAX.0 <= unscaled && unscaled <= Self::MAX.0 { Some(Decimal(unscaled)) } else { None }
    }

    /// A value of a column, which the host has checked.
    #[inline]
    pub(crate) const fn of_column(unscaled: i128) -> Self {
        Decimal(unscaled)
    }

    /// The number multiplied by ten to the power of `SCALE`: an integer.
    #[inline]
    pub const fn unscaled(self) -> i128 {
        self.0
    }

    /// The sum; none where it has too many digits.
    #[inline]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Self::from_unscaled(sum),
            None => None,
        }
    }

    /// The difference; none where it has too many digits.
    #[inline]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Self::from_unscaled(difference),
            None => None,
        }
    }

    /// The product, exactly; none where it has too many digits, or needs more after the point than the result has.
    pub fn checked_mul<const P: u8, const S: u8, const PRODUCT: u8, const DIGITS: u8>(
        self,
        other: Decimal<P, S>,
    ) -> Option<Decimal<PRODUCT, DIGITS>> {
        rescaled(self.0.checked_mul(other.0)?, SCALE + S, DIGITS).and_then(Decimal::from_unscaled)
    }

    /// The same number with other digits; none where that would lose some.
    pub fn rescale<const P: u8, const S: u8>(self) -> Option<Decimal<P, S>> {
        rescaled(self.0, SCALE, S).and_then(Decimal::from_unscaled)
    }
}

/// The integer of a number with `to` digits after the point, which is `unscaled` with `from`.
fn rescaled(unscaled: i128, from: u8, to: u8) -> Option<i128> {
    if to >= from {
        return unscaled.checked_mul(10_i128.checked_pow(u32::from(to - from))?);
    }
    match 10_i128.checked_pow(u32::from(from - to)) {
        Some(unit) => (unscaled % unit == 0).then_some(unscaled / unit),
        None => (unscaled == 0).then_some(0),
    }
}

impl<const PRECISION: u8, const SCALE: u8> From<i64> for Decimal<PRECISION, SCALE> {
    /// An integer, for which there are surely enough digits: refused when it is compiled if there may not be.
    fn from(number: i64) -> Self {
        const { assert!(PRECISION >= SCALE + 19, "an int64 has up to 19 digits before the point") }
        Decimal(i128::from(number) * 10_i128.pow(SCALE as u32))
    }
}

/// Shows the number as SQL writes it, with all digits of the scale: `-1.50`.
impl<const PRECISION: u8, const SCALE: u8> fmt::Display for Decimal<PRECISION, SCALE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, SCALE, f)
    }
}

pub(crate) fn show(unscaled: i128, scale: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if unscaled < 0 { "-" } else { "" };
    let (digits, scale) = (unscaled.unsigned_abs(), usize::from(scale));
    if scale == 0 {
        return write!(f, "{sign}{digits}");
    }
    let unit = 10_u128.pow(scale as u32);
    write!(f, "{sign}{}.{:0scale$}", digits / unit, digits % unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Money = Decimal<18, 2>;

    #[test]
    fn what_has_too_many_digits_is_none() {
        assert_eq!(Money::from_unscaled(Money::MAX.unscaled()), Some(Money::MAX));
        assert_eq!(Money::from_unscaled(Money::MAX.unscaled() + 1), None);
        assert_eq!(Money::from_unscaled(-Money::MAX.unscaled() - 1), None);
        let cent = Decimal(1);
        assert_eq!(Money::MAX.checked_add(cent), None);
        assert_eq!(Decimal(-Money::MAX.0).checked_sub(cent), None::<Money>);
        assert_eq!(Decimal::<38, 0>::MAX.checked_add(Decimal::MAX), None);
        assert_eq!(Decimal::<38, 0>::MAX.checked_mul::<38, 0, 38, 0>(Decimal::MAX), None);
    }

    #[test]
    fn other_digits_keep_the_number_or_are_refused() {
        let half: Money = Decimal(50);
        assert_eq!(half.rescale::<2, 1>(), Some(Decimal(5)));
        assert_eq!(half.rescale::<38, 38>(), Some(Decimal(5 * 10_i128.pow(37))));
        assert_eq!(half.rescale::<5, 0>(), None);
        assert_eq!(Money::MAX.rescale::<38, 38>(), None);
        assert_eq!(Decimal::<20, 1>::from(i64::MIN).to_string(), format!("{}.0", i64::MIN));
    }

    proptest! {
        #[test]
        fn sums_and_products_are_those_of_integers(left in -1_000_000_000i64..1_000_000_000, right in -1_000_000_000i64..1_000_000_000) {
            let (one, other): (Money, Money) = (Decimal(left.into()), Decimal(right.into()));
            prop_assert_eq!(one.checked_add(other), Some(Decimal((left + right).into())));
            prop_assert_eq!(one.checked_sub(other), Some(Decimal((left - right).into())));
            let product = one.checked_mul::<18, 2, 38, 4>(other);
            prop_assert_eq!(product, Some(Decimal(i128::from(left) * i128::from(right))));
            prop_assert_eq!(one.cmp(&other), left.cmp(&right));
        }

        #[test]
        fn the_text_has_every_digit(unscaled in -100_000i128..100_000) {
            let text = Decimal::<9, 3>(unscaled).to_string();
            let (whole, fraction) = text.split_once('.').unwrap();
            prop_assert_eq!(fraction.len(), 3);
            prop_assert_eq!(format!("{whole}{fraction}").parse::<i128>().unwrap(), unscaled);
            prop_assert_eq!(text.starts_with('-'), unscaled < 0);
        }
    }
}
