//! Conversion of decimal text to integers, in any notation.

/// Conversion of a decimal number to an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole<T> {
    /// The number itself.
    Exact(T),
    /// The number without its fraction.
    Cut(T),
}

/// Reads a decimal number as [`integer`] does. None also where no int64 holds it.
pub(crate) fn whole(text: &str, shift: i64) -> Option<Whole<i64>> {
    Some(match integer(text, shift)? {
        Whole::Exact(value) => Whole::Exact(i64::try_from(value).ok()?),
        Whole::Cut(value) => Whole::Cut(i64::try_from(value).ok()?),
    })
}

/// Reads a decimal number times ten to the power of `shift`: `5`, `5.0`, `50e-1` and `0.5e1` are the same. None where the text is no
/// such number, or one that no i128 holds. The work is bounded by the text's length, whatever its exponent says.
pub(crate) fn integer(text: &str, shift: i64) -> Option<Whole<i128>> {
    let bytes = text.as_bytes();
    let (negative, bytes) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, bytes),
    };
    let end = bytes.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(bytes.len());
    let (mantissa, exponent) = bytes.split_at(end);
    let point = mantissa.iter().position(|byte| *byte == b'.');
    let (integer, fraction) = match point {
        Some(point) => (&mantissa[..point], &mantissa[point + 1..]),
        None => (mantissa, &[][..]),
    };
    let all_digits = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    if !all_digits(integer) || point.is_some() && !all_digits(fraction) {
        return None;
    }
    let length = |bytes: &[u8]| i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    // How many digits are before the point once it has moved.
    let before = length(integer).saturating_add(self::exponent(exponent)?).saturating_add(shift);
    let mut magnitude = 0i128;
    let mut cut = false;
    for (place, digit) in (0i64..).zip(integer.iter().chain(fraction).map(|digit| digit - b'0')) {
        if place < before {
            magnitude = magnitude.checked_mul(10)?.checked_add(i128::from(digit))?;
        } else {
            cut |= digit != 0;
        }
    }
    for _ in length(integer) + length(fraction)..before {
        if magnitude == 0 {
            break;
        }
        // Ends after 39 steps at most, however large the exponent is.
        magnitude = magnitude.checked_mul(10)?;
    }
    let value = if negative { -magnitude } else { magnitude };
    Some(if cut { Whole::Cut(value) } else { Whole::Exact(value) })
}

/// Reads the exponent with its `e`; one beyond all bounds counts as the bound.
fn exponent(bytes: &[u8]) -> Option<i64> {
    let (sign, digits) = match bytes {
        [] => return Some(0),
        [_, b'-', digits @ ..] => (-1, digits),
        [_, b'+', digits @ ..] | [_, digits @ ..] => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude =
        digits.iter().fold(0i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(sign * magnitude)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Whole, whole};

    #[test]
    fn an_integer_is_one_however_it_is_written() {
        for (text, value) in [
            ("5", 5),
            ("+5", 5),
            ("-5.0", -5),
            ("1e3", 1000),
            ("50e-1", 5),
            ("0.005E+3", 5),
            ("-0.0", 0),
            ("0e999999999999999999999", 0),
            ("0.0e-999999999999999999999", 0),
            ("9223372036854775807.000", i64::MAX),
            ("-9.223372036854775808e18", i64::MIN),
            ("922337203685477580700e-2", i64::MAX),
        ] {
            assert_eq!(whole(text, 0), Some(Whole::Exact(value)), "{text}");
        }
        let long = format!("5{}e-1000000", "0".repeat(1_000_000));
        assert_eq!(whole(&long, 0), Some(Whole::Exact(5)));
    }

    #[test]
    fn what_is_no_integer_is_none_or_says_that_it_was_cut() {
        for text in ["", "-", ".", "5.", ".5", "e3", "5e", "5e+", "1_000", "0x5", "5 ", "NaN", "--5", "5e1.0"] {
            assert_eq!(whole(text, 0), None, "{text}");
        }
        for text in ["9223372036854775808", "-9223372036854775809", "1e19", "1e99999999999999999999", "-1e400"] {
            assert_eq!(whole(text, 0), None, "{text} is beyond an int64");
        }
        for (text, value) in [("5.5", 5), ("-5.5", -5), ("1e-1", 0), ("1e-99999999999999999999", 0)] {
            assert_eq!(whole(text, 0), Some(Whole::Cut(value)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn moving_the_point_changes_nothing(value in any::<i64>(), moved in 0usize..40) {
            let (sign, digits) = (if value < 0 { "-" } else { "" }, value.unsigned_abs().to_string());
            let zeros = format!("{sign}{digits}{}e-{moved}", "0".repeat(moved));
            prop_assert_eq!(whole(&zeros, 0), Some(Whole::Exact(value)));
            let point = format!("{sign}0.{}{digits}e{}", "0".repeat(moved), moved + digits.len());
            prop_assert_eq!(whole(&point, 0), Some(Whole::Exact(value)));
            prop_assert_eq!(whole(&format!("{value}"), -3).is_some(), true);
        }

        #[test]
        fn any_text_is_answered(text in "[-+0-9.eE]{0,12}", shift in -9i64..9) {
            let read = whole(&text, shift);
            if let Ok(float) = text.parse::<f64>() && let Some(Whole::Exact(value)) = read && shift == 0 {
                prop_assert!((value as f64 - float).abs() <= float.abs() * 1e-15);
            }
        }
    }
}
