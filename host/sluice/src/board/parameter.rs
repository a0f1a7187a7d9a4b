//! Named parameters of a panel's SQL: moments that the host knows, as texts of a clock on the wall in the board's zone.
//!
//! | name | value at 2026-11-28 09:30:15 |
//! | --- | --- |
//! | `:now` | `2026-11-28 09:30:15` |
//! | `:today`, `:yesterday`, `:tomorrow` | `2026-11-28 00:00:00`, `2026-11-27 00:00:00`, `2026-11-29 00:00:00` |
//! | `:minutes_ago_N`, `:hours_ago_N` | `:hours_ago_6` is `2026-11-28 03:30:15` |
//! | `:days_ago_N` | `:days_ago_7` is `2026-11-21 00:00:00`, the day's begin |
//!
//! Databases reckon with times in ways of their own; so these are reckoned here, and one statement runs on all of them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// The greatest number of a name. Greater: nobody means that.
const MOST: u32 = 10_000;

/// The names, as messages show them.
pub const NAMES: [&str; 7] = ["now", "today", "yesterday", "tomorrow", "minutes_ago_N", "hours_ago_N", "days_ago_N"];

/// A moment that a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// So many seconds before now.
    Before(i64),
    /// The begin of the day so many days before today; after it where negative.
    Day(i64),
}

impl Parameter {
    /// The parameter of this name, without the colon.
    pub fn of(name: &str) -> Option<Parameter> {
        let number = |prefix: &str| -> Option<i64> {
            let digits = name.strip_prefix(prefix)?;
            let number = digits.parse::<u32>().ok().filter(|number| (1..=MOST).contains(number))?;
            // One name for each moment.
            (number.to_string() == digits).then_some(number.into())
        };
        match name {
            "now" => Some(Parameter::Before(0)),
            "today" => Some(Parameter::Day(0)),
            "yesterday" => Some(Parameter::Day(1)),
            "tomorrow" => Some(Parameter::Day(-1)),
            _ => number("minutes_ago_")
                .map(|n| Parameter::Before(n * 60))
                .or_else(|| number("hours_ago_").map(|n| Parameter::Before(n * 3_600)))
                .or_else(|| number("days_ago_").map(Parameter::Day)),
        }
    }

    /// The text at this time, in microseconds since 1970-01-01T00:00:00 UTC.
    pub fn value(self, zone: &TimeZone, micros: i64) -> String {
        let at = |micros: i64| {
            let time = Timestamp::from_microsecond(micros).unwrap_or_default();
            zone.to_datetime(time)
        };
        let time = match self {
            Parameter::Before(seconds) => at(micros.saturating_sub(seconds.saturating_mul(1_000_000))),
            Parameter::Day(before) => {
                let day = at(micros).date();
                day.checked_sub(Span::new().days(before)).unwrap_or(day).at(0, 0, 0, 0)
            }
        };
        shown(time)
    }
}

fn shown(time: DateTime) -> String {
    let (date, clock) = (time.date(), time.time());
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        date.year(),
        date.month(),
        date.day(),
        clock.hour(),
        clock.minute(),
        clock.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-28 01:30:15.5 UTC.
    const NOW: i64 = 1_795_829_415_500_000;

    fn value(name: &str, zone: &str) -> String {
        Parameter::of(name).unwrap().value(&TimeZone::get(zone).unwrap(), NOW)
    }

    #[test]
    fn values_are_moments_of_the_boards_zone() {
        assert_eq!(value("now", "UTC"), "2026-11-28 01:30:15");
        for (name, expected) in [
            ("now", "2026-11-28 09:30:15"),
            ("today", "2026-11-28 00:00:00"),
            ("yesterday", "2026-11-27 00:00:00"),
            ("tomorrow", "2026-11-29 00:00:00"),
            ("minutes_ago_31", "2026-11-28 08:59:15"),
            ("hours_ago_6", "2026-11-28 03:30:15"),
            ("days_ago_28", "2026-10-31 00:00:00"),
        ] {
            assert_eq!(value(name, "Asia/Shanghai"), expected, "{name}");
        }
        assert_eq!(value("today", "America/New_York"), "2026-11-27 00:00:00");
    }

    #[test]
    fn other_names_are_none() {
        for name in
            ["", "Now", "hours_ago_", "hours_ago_0", "hours_ago_06", "hours_ago_+6", "hours_ago_99999999999", "x"]
        {
            assert_eq!(Parameter::of(name), None, "{name}");
        }
    }
}
