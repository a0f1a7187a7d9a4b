//! Wall-clock times as text.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Reads `YYYY-MM-DD HH:MM:SS[.fraction]` (or `T` between date and time) as microseconds since 1970-01-01T00:00:00 on
/// the same wall clock. Up to nine digits of fraction are taken, and cut after six. None where it is no such time.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.trim().as_bytes();
    let (date_time, fraction) = bytes.split_at_checked(19)?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b' ' | b'T', h0, h1, b':', i0, i1, b':', s0, s1] = date_time
    else {
        return None;
    };
    let year = number(&[*y0, *y1, *y2, *y3])?;
    let (month, day) = (number(&[*m0, *m1])?, number(&[*d0, *d1])?);
    let (hour, minute, second) = (number(&[*h0, *h1])?, number(&[*i0, *i1])?, number(&[*s0, *s1])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_civil(year, month, day)? * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    Some(seconds * MICROS_PER_SECOND + micros(fraction)?)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

fn micros(fraction: &[u8]) -> Option<i64> {
    let digits = match fraction {
        [] => return Some(0),
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => digits,
        _ => return None,
    };
    number(digits)?;
    (0..6).try_fold(0, |value, i| number(&[digits.get(i).copied().unwrap_or(b'0')]).map(|digit| value * 10 + digit))
}

/// Days since 1970-01-01 of a day in the proleptic Gregorian calendar; none if there is no such day. The formula is
/// `days_from_civil` of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn known_instants() {
        assert_eq!(parse("1970-01-01 00:00:00"), Some(0));
        assert_eq!(parse("1969-12-31 23:59:59.5"), Some(-500_000));
        // `date -u -d '2021-08-16 09:48:01' +%s`
        assert_eq!(parse("2021-08-16 09:48:01"), Some(1_629_107_281_000_000));
        assert_eq!(parse("2000-02-29T12:00:00.123456789"), Some(951_825_600_123_456));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2021-08-16",
            "2021-02-29 00:00:00",
            "2021-13-01 00:00:00",
            "2021-00-01 00:00:00",
            "2021-01-01 24:00:00",
            "2021-01-01 00:60:00",
            "2021-01-01 00:00:60",
            "2021-01-01 00:00:00.",
            "2021-01-01 00:00:00.1234567890",
            "2021-01-01 00:00:00Z",
            "２021-01-01 00:00:00",
            "+021-01-01 00:00:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
