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

    /// The start of its minute, also before 1970. (A time in the first minute that an int64 of microseconds can hold, in
    /// the year -290308, becomes that minute's first representable microsecond.)
    #[inline]
    pub const fn truncate_to_minute(self) -> Timestamp {
        Timestamp(self.0.saturating_sub(self.0.rem_euclid(MICROS_PER_MINUTE)))
    }

    /// The time of this date and time of day, which the caller has checked.
    #[inline(always)]
    pub(crate) const fn from_civil(date: Date, second_of_day: u32, micros: u32) -> Timestamp {
        let seconds = date.days_since_epoch() as i64 * 86_400 + second_of_day as i64;
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

/// A date of the years 1 to 9999, as SQL has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// None where the calendar has no such day.
    #[inline(always)]
    pub(crate) const fn new(year: u32, month: u32, day: u32) -> Option<Date> {
        let known = year >= 1 && year <= 9999 && month >= 1 && month <= 12;
        if known && day >= 1 && day <= days_in_month(year, month) { Some(Date { year, month, day }) } else { None }
    }

    /// `days_from_civil` of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"
    /// (<https://howardhinnant.github.io/date_algorithms.html>), for years that are not negative, where its eras of 400
    /// years need no floor. Years start in March there, so that the leap day is their last.
    #[inline(always)]
    const fn days_since_epoch(self) -> i32 {
        let before_march = self.month <= 2;
        let year = self.year - before_march as u32;
        let month = if before_march { self.month + 9 } else { self.month - 3 };
        let day_of_year = (153 * month + 2) / 5 + self.day - 1;
        let century = year / 100;
        let days = 365 * year + year / 4 - century + century / 4 + day_of_year;
        days as i32 - DAYS_BEFORE_EPOCH
    }
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
