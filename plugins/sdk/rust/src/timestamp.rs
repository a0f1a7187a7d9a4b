//! Wall-clock time, to the microsecond.

use std::fmt;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const MICROS_PER_DAY: i64 = 24 * 60 * MICROS_PER_MINUTE;

/// A point of wall-clock time without a zone, in microseconds since 1970-01-01T00:00:00 of the proleptic Gregorian
/// calendar: the contract's `timestamp`, SQL's `TIMESTAMP(6)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time this many microseconds after 1970-01-01T00:00:00 (before it, if negative).
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The day that it is in. None outside of the years 1 to 9999.
    pub fn date(self) -> Option<Date> {
        i32::try_from(self.0.div_euclid(MICROS_PER_DAY)).ok().and_then(Date::from_days)
    }

    /// The start of its minute, also before 1970. (A time in the first minute that an int64 of microseconds can hold, in
    /// the year -290308, becomes that minute's first representable microsecond.)
    #[inline]
    pub const fn truncate_to_minute(self) -> Timestamp {
        Timestamp(self.0.saturating_sub(self.0.rem_euclid(MICROS_PER_MINUTE)))
    }

    /// The time of this date and time of day, which the caller has checked.
    #[inline(always)]
    pub(crate) const fn from_civil(date: Date, second_of_day: u32, micros: u32) -> Timestamp {
        let seconds = date.days() as i64 * 86_400 + second_of_day as i64;
        Timestamp(seconds * MICROS_PER_SECOND + micros as i64)
    }
}

/// As SQL writes it: `2021-08-16 09:48:01`, with a fraction of six digits if there is one.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.div_euclid(MICROS_PER_DAY));
        let time = self.0.rem_euclid(MICROS_PER_DAY);
        let (seconds, fraction) = (time / MICROS_PER_SECOND, time % MICROS_PER_SECOND);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")?;
        if fraction == 0 { Ok(()) } else { write!(f, ".{fraction:06}") }
    }
}

/// A day of the proleptic Gregorian calendar, of the years 1 to 9999: the contract's `date`, SQL's `DATE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

impl Date {
    /// The day of this year, month (1 to 12) and day (1 to 31). None where the calendar has no such day.
    #[inline(always)]
    pub const fn new(year: u32, month: u32, day: u32) -> Option<Date> {
        let known = year >= 1 && year <= 9999 && month >= 1 && month <= 12;
        if known && day >= 1 && day <= days_in_month(year, month) {
            Some(Date(days_since_epoch(year, month, day)))
        } else {
            None
        }
    }

    /// The day this many days after 1970-01-01 (before it, if negative). None outside of the years 1 to 9999.
    pub const fn from_days(days: i32) -> Option<Date> {
        if FIRST_DAY <= days && days <= LAST_DAY { Some(Date(days)) } else { None }
    }

    /// A value of a column, which the host has checked.
    #[inline]
    pub(crate) const fn of_column(days: i32) -> Date {
        Date(days)
    }

    /// Days since 1970-01-01.
    #[inline]
    pub const fn days(self) -> i32 {
        self.0
    }
}

/// Shows the date as SQL writes it: `2021-08-16`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0.into());
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// 0001-01-01 and 9999-12-31, in days since 1970-01-01.
const FIRST_DAY: i32 = -719_162;
const LAST_DAY: i32 = 2_932_896;

/// `days_from_civil` of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
/// (<https://howardhinnant.github.io/date_algorithms.html>), for years that are not negative, where its eras of 400
/// years need no floor. Years start in March there, so that the leap day is their last.
#[inline(always)]
const fn days_since_epoch(year: u32, month: u32, day: u32) -> i32 {
    let before_march = month <= 2;
    let year = year - before_march as u32;
    let month = if before_march { month + 9 } else { month - 3 };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let century = year / 100;
    let days = 365 * year + year / 4 - century + century / 4 + day_of_year;
    days as i32 - DAYS_BEFORE_EPOCH
}

/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_EPOCH: i32 = 719_468;

#[inline(always)]
const fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        // From July on, the long months are the even ones.
        _ => 30 | (month ^ (month >> 3)),
    }
}

#[inline(always)]
const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// `civil_from_days` of the same source, over its 400-year eras: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + i64::from(DAYS_BEFORE_EPOCH);
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_the_day_of_its_times_and_every_day_is_the_one_after_the_day_before() {
        let mut before = Date::new(1, 1, 1).unwrap();
        assert_eq!((before.days(), Date::new(9999, 12, 31).unwrap().days()), (FIRST_DAY, LAST_DAY));
        for days in FIRST_DAY + 1..=LAST_DAY {
            let day = Date::from_days(days).unwrap();
            assert!(day > before && day.to_string() > before.to_string(), "{before} {day}");
            before = day;
        }
        assert_eq!(Timestamp::from_micros(-1).date().unwrap().to_string(), "1969-12-31");
        assert_eq!(Timestamp::from_micros(i64::MAX).date(), None);
        for (year, month, day) in [(2021, 2, 29), (2021, 13, 1), (0, 1, 1), (10_000, 1, 1), (2021, 4, 31)] {
            assert_eq!(Date::new(year, month, day), None);
        }
    }
}
