//! Casts from text: what is a value, which one, and what a rejection says of what isn't.

use chrono::{DateTime, NaiveDateTime};
use proptest::prelude::*;
use sluice_sdk::cast::SHOWN_CHARS;
use sluice_sdk::{Reject, Timestamp, cast, row};

/// Microseconds of a time between the years 0001 and 9999.
fn any_micros() -> impl Strategy<Value = i64> {
    -62_135_596_800_000_000i64..=253_402_300_799_999_999
}

fn by_chrono(text: &str) -> Option<i64> {
    Some(NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?.and_utc().timestamp_micros())
}

fn micros(text: &str) -> Option<i64> {
    cast::timestamp(text).ok().map(Timestamp::micros)
}

proptest! {
    #[test]
    fn a_timestamp_is_what_chrono_says_it_is(micros in any_micros()) {
        let time = DateTime::from_timestamp_micros(micros).unwrap().naive_utc();
        for format in ["%Y-%m-%d %H:%M:%S%.6f", "%Y-%m-%dT%H:%M:%S%.6f", "%Y-%m-%d %H:%M:%S%.9f"] {
            prop_assert_eq!(cast::timestamp(&time.format(format).to_string()), Ok(Timestamp::from_micros(micros)));
        }
        let seconds = Timestamp::from_micros(micros.div_euclid(1_000_000) * 1_000_000);
        prop_assert_eq!(cast::timestamp(&time.format("%Y-%m-%d %H:%M:%S").to_string()), Ok(seconds));
    }

    #[test]
    fn a_timestamp_is_shown_as_it_is_parsed(micros in any_micros()) {
        let time = Timestamp::from_micros(micros);
        prop_assert_eq!(cast::timestamp(&time.to_string()), Ok(time));
    }

    #[test]
    fn the_numbers_of_a_timestamp_are_checked_as_chrono_checks_them(
        year in 1u32..=9999, month in 0u32..=13, day in 0u32..=32, hour in 0u32..=24, minute in 0u32..=60,
        second in 0u32..=59,
    ) {
        let text = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
        prop_assert_eq!(micros(&text), by_chrono(&text));
    }

    #[test]
    fn a_character_that_doesnt_belong_into_a_timestamp_makes_it_none(
        at in 0usize..26, wrong in any::<char>().prop_filter("no digit", |c| !c.is_ascii_digit()),
    ) {
        let right: Vec<char> = "2021-08-16 09:48:01.123456".chars().collect();
        let mut text = right.clone();
        text[at] = wrong;
        let still_one = text == right || (at == 10 && wrong == 'T');
        prop_assert_eq!(cast::timestamp(&text.iter().collect::<String>()).is_ok(), still_one);
    }

    #[test]
    fn any_text_is_a_timestamp_or_a_rejection_that_is_short(text in any::<String>()) {
        if let Err(misfit) = cast::timestamp(&text) {
            // The longest escape of a character is `\u{10ffff}`.
            prop_assert!(misfit.to_string().len() <= SHOWN_CHARS * 10 + 60);
        }
    }

    #[test]
    fn a_minute_starts_at_most_a_minute_before_and_at_a_whole_one(micros in any_micros()) {
        let start = Timestamp::from_micros(micros).truncate_to_minute().micros();
        prop_assert_eq!(start.rem_euclid(60_000_000), 0);
        prop_assert!((0..60_000_000).contains(&(micros - start)));
    }

    #[test]
    fn an_int64_is_what_it_is_shown_as_with_blanks_and_leading_zeros(number in any::<i64>(), zeros in 0usize..40) {
        let padded = format!("{}{}{}", if number < 0 { "-" } else { "+" }, "0".repeat(zeros), number.unsigned_abs());
        prop_assert_eq!(cast::int64(&number.to_string()), Ok(number));
        prop_assert_eq!(cast::int64(&format!(" \t{padded}\n")), Ok(number));
    }
}

#[test]
fn the_fraction_of_a_timestamp_has_one_to_nine_digits_of_which_six_are_kept() {
    let whole = micros("2021-08-16 09:48:01").unwrap();
    let fractions = [(".5", 500_000), (".000001", 1), (".1234567", 123_456), (".999999999", 999_999), (".0", 0)];
    for (fraction, expected) in fractions {
        assert_eq!(micros(&format!("2021-08-16 09:48:01{fraction}")), Some(whole + expected), "{fraction}");
    }
    for fraction in [".", ".1234567890", ".12a", ",5", "Z", "+08:00", " ", ".-1", ".1 "] {
        assert_eq!(micros(&format!("2021-08-16 09:48:01{fraction}")), None, "{fraction}");
    }
}

#[test]
fn a_day_that_the_calendar_doesnt_have_is_no_timestamp() {
    for day in ["2021-02-29", "1900-02-29", "2021-04-31", "2021-00-10", "2021-13-01", "2021-01-00", "0000-01-01"] {
        assert_eq!(micros(&format!("{day} 00:00:00")), None, "{day}");
    }
    for day in ["2020-02-29", "2000-02-29", "0001-01-01", "9999-12-31"] {
        assert!(micros(&format!("{day} 00:00:00")).is_some(), "{day}");
    }
}

#[test]
fn a_second_beyond_59_or_an_hour_beyond_23_is_no_timestamp() {
    for time in ["24:00:00", "23:60:00", "23:59:60"] {
        assert_eq!(micros(&format!("2016-12-31 {time}")), None, "{time}");
    }
}

#[test]
fn a_text_of_another_form_is_no_timestamp() {
    for text in ["", "2021-08-16", "2021-8-16 09:48:01", " 2021-08-16 09:48:01", "2021/08/16 09:48:01", "1629107281"] {
        assert_eq!(micros(text), None, "{text}");
    }
}

#[test]
fn a_text_of_another_form_is_no_int64() {
    for text in ["", " ", "-", "1.0", "1e3", "0x10", "1 2", "١", "9223372036854775808", "-9223372036854775809"] {
        assert!(cast::int64(text).is_err(), "{text}");
    }
}

row! {
    struct Raw<'a> { module_id: &'a str, seen: Option<&'a str> }
}

#[test]
fn a_failed_cast_names_the_column_and_the_value_and_null_is_none() {
    let row = Raw { module_id: "a\tb", seen: None };
    let rejection = cast!(row.module_id as i64);
    assert_eq!(rejection, Err(Reject::because(r#"`module_id`: "a\tb" is not an int64"#)));
    assert_eq!(cast!(row.seen as Timestamp), Ok(None));
}

#[test]
fn a_value_is_shown_up_to_its_bound() {
    let kept = "值".repeat(SHOWN_CHARS);
    let (whole, cut) = (cast::int64(&kept).unwrap_err(), cast::int64(&format!("{kept}值")).unwrap_err());
    assert_eq!(whole.to_string(), format!("\"{kept}\" is not an int64"));
    assert_eq!(cut.to_string(), format!("\"{kept}\"… is not an int64"));
}
