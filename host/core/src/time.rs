//! Wall-clock times as text.

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// 0000-01-01T00:00:00 and 9999-12-31T23:59:59.999999, the times whose text has four digits for the year, in microseconds since
/// 1970-01-01T00:00:00.
pub const CALENDAR: (i64, i64) = (-62_167_219_200_000_000, 253_402_300_799_999_999);

/// 0001-01-01 and 9999-12-31, the days that SQL's dates have, in days since 1970-01-01.
pub const DATES: (i32, i32) = (-719_162, 2_932_896);

/// Returns true if the year of the time has four digits, so that texts and tables can hold it.
pub fn in_calendar(micros: i64) -> bool {
    (CALENDAR.0..=CALENDAR.1).contains(&micros)
}

/// The most seconds that a zone may be from UTC, as ISO-8601's readers have it; on earth it is 14 hours.
const MAX_OFFSET: i64 = 18 * 3600;

/// Reads `YYYY-MM-DD HH:MM[:SS[.fraction]]` (or `T` between date and time) as microseconds since 1970-01-01T00:00:00 on the
/// same wall clock; with `Z` or an offset from UTC after it (`+08:00`, `+0800`, `+08`), on UTC's. Up to nine digits of fraction
/// are taken, and cut after six. None where it is no such time.
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.trim().as_bytes();
    let (minutes, rest) = bytes.split_at_checked(16)?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b' ' | b'T' | b't', h0, h1, b':', i0, i1] = minutes else {
        return None;
    };
    let year = number(&[*y0, *y1, *y2, *y3])?;
    let (month, day) = (number(&[*m0, *m1])?, number(&[*d0, *d1])?);
    let (hour, minute) = (number(&[*h0, *h1])?, number(&[*i0, *i1])?);
    let (second, rest) = match rest {
        [b':', s0, s1, rest @ ..] => (number(&[*s0, *s1])?, rest),
        // A fraction is of a second.
        [b'.', ..] => return None,
        _ => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let zone = rest.iter().position(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-' | b' ')).unwrap_or(rest.len());
    let (fraction, zone) = rest.split_at(zone);
    let seconds = days_from_civil(year, month, day)? * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    Some((seconds - offset(zone)?) * MICROS_PER_SECOND + micros(fraction)?)
}

/// Reads `YYYY-MM-DD` as days since 1970-01-01. None where it is no day of the years 1 to 9999.
pub fn parse_date(text: &str) -> Option<i32> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text.trim().as_bytes() else { return None };
    let days = days_from_civil(number(&[*y0, *y1, *y2, *y3])?, number(&[*m0, *m1])?, number(&[*d0, *d1])?)?;
    i32::try_from(days).ok().filter(|days| (DATES.0..=DATES.1).contains(days))
}

/// A day as [`parse_date`] reads it. None outside of the years 1 to 9999.
pub fn shown_date(days: i32) -> Option<String> {
    let (year, month, day) = civil_from_days(days.into());
    (DATES.0..=DATES.1).contains(&days).then(|| format!("{year:04}-{month:02}-{day:02}"))
}

/// Seconds that a zone is ahead of UTC: of nothing, `Z`, `+08:00`, `+0800` or `+08`, up to 18 hours.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone.trim_ascii_start() {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, h0, h1] => (sign, [*h0, *h1], [b'0'; 2]),
        [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => (sign, [*h0, *h1], [*m0, *m1]),
        _ => return None,
    };
    let sign = match sign {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(&hours)?, number(&minutes)?);
    let ahead = hours * 3600 + minutes * 60;
    (minutes <= 59 && ahead <= MAX_OFFSET).then_some(sign * ahead)
}

/// A time as [`parse`] reads it, `YYYY-MM-DD HH:MM:SS`, and six digits of a second if they aren't zero: such texts sort as
/// their times do. None outside of the years 0 to 9999.
pub fn shown(micros: i64) -> Option<String> {
    let (seconds, fraction) = (micros.div_euclid(MICROS_PER_SECOND), micros.rem_euclid(MICROS_PER_SECOND));
    let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    let text = if fraction > 0 { format!("{text}.{fraction:06}") } else { text };
    (0..=9999).contains(&year).then_some(text)
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

/// Year, month and day of a day since 1970-01-01: the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CALENDAR, DATES, in_calendar, parse, parse_date, shown, shown_date};

    proptest! {
        #[test]
        fn what_is_shown_is_read_back_and_sorts_as_the_times_do(
            one in -62_167_219_200_000_000i64..253_402_300_800_000_000,
            other in -62_167_219_200_000_000i64..253_402_300_800_000_000,
        ) {
            let (shown_one, shown_other) = (shown(one).unwrap(), shown(other).unwrap());
            prop_assert_eq!(parse(&shown_one), Some(one));
            prop_assert_eq!(shown_one.cmp(&shown_other), one.cmp(&other));
        }
    }

    proptest! {
        #[test]
        fn a_date_is_the_midnight_of_its_day_and_reads_back(days in DATES.0..=DATES.1) {
            let text = shown_date(days).unwrap();
            prop_assert_eq!(parse_date(&text), Some(days));
            prop_assert_eq!(parse(&format!("{text} 00:00:00")), Some(i64::from(days) * 86_400_000_000));
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2021-8-16",
            "2021-08-16 09:48:01",
            "2021-02-29",
            "0000-12-31",
            "10000-01-01",
            "2021/08/16",
            "-001-01-01",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        assert_eq!((parse_date("0001-01-01"), parse_date(" 9999-12-31 ")), (Some(DATES.0), Some(DATES.1)));
        assert_eq!((shown_date(DATES.0 - 1), shown_date(DATES.1 + 1), shown_date(i32::MIN)), (None, None, None));
    }

    #[test]
    fn a_time_of_no_four_digit_year_is_not_shown() {
        for micros in [i64::MIN, -62_167_219_200_000_001, 253_402_300_800_000_000, i64::MAX] {
            assert_eq!((shown(micros), in_calendar(micros)), (None, false));
        }
        assert_eq!(shown(1_629_107_281_000_050).as_deref(), Some("2021-08-16 09:48:01.000050"));
    }

    #[test]
    fn the_calendar_is_what_is_shown() {
        assert!(shown(CALENDAR.0).is_some() && shown(CALENDAR.1).is_some());
        assert!(in_calendar(CALENDAR.0) && in_calendar(CALENDAR.1));
    }

    #[test]
    fn known_instants() {
        assert_eq!(parse("1970-01-01 00:00:00"), Some(0));
        assert_eq!(parse("1969-12-31 23:59:59.5"), Some(-500_000));
        // `date -u -d '2021-08-16 09:48:01' +%s`
        assert_eq!(parse("2021-08-16 09:48:01"), Some(1_629_107_281_000_000));
        assert_eq!(parse("2000-02-29T12:00:00.123456789"), Some(951_825_600_123_456));
    }

    #[test]
    fn an_instant_is_the_same_in_every_zone() {
        // `date -u -d '2021-08-16 09:48:01+08:00' +%s`
        let instant = Some(1_629_078_481_000_000);
        for text in [
            "2021-08-16T09:48:01+08:00",
            "2021-08-16 09:48:01 +0800",
            "2021-08-16 09:48:01+08",
            "2021-08-16T01:48:01Z",
            "2021-08-16t01:48:01.000z",
            "2021-08-16 01:48:01-00:00",
            "2021-08-15T20:18:01.000000-05:30",
        ] {
            assert_eq!(parse(text), instant, "{text}");
        }
        assert_eq!(parse("2021-08-16T09:48Z"), parse("2021-08-16 09:48:00"));
        assert_eq!(parse("2021-08-16T09:48:01.25-01:00"), parse("2021-08-16 10:48:01.25"));
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
            "2021-01-01 00:00:00UTC",
            "2021-01-01 00:00:00 ZZ",
            "2021-01-01 00:00:00+8",
            "2021-01-01 00:00:00+08:60",
            "2021-01-01 00:00:00+18:01",
            "2021-01-01 00:00:00.5+",
            "2021-01-01 00:00.5",
            "2021-01-01 00:00:",
            "２021-01-01 00:00:00",
            "+021-01-01 00:00:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
