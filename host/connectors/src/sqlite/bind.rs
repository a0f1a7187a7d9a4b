//! Values into the arguments of a statement.

use std::ops::Range;

use arrow_array::Array;
use sluice_core::time;
use sqlx::Arguments;
use sqlx::error::BoxDynError;
use sqlx::sqlite::SqliteArguments;

use crate::sql::Values;

/// The rows' values, row by row.
pub(super) fn arguments(values: &[Values<'_>], rows: Range<usize>) -> Result<SqliteArguments, BoxDynError> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len() * rows.len(), 0);
    for row in rows {
        for column in values {
            add(&mut arguments, column, row)?;
        }
    }
    Ok(arguments)
}

fn add(arguments: &mut SqliteArguments, column: &Values<'_>, row: usize) -> Result<(), BoxDynError> {
    match column {
        Values::Boolean(array) => arguments.add(array.is_valid(row).then(|| array.value(row))),
        Values::Int64(array) => arguments.add(array.is_valid(row).then(|| array.value(row))),
        Values::Float64(array) => arguments.add(array.is_valid(row).then(|| number(array.value(row))).transpose()?),
        Values::Utf8(array) => arguments.add(array.is_valid(row).then(|| array.value(row))),
        Values::Binary(array) => arguments.add(array.is_valid(row).then(|| array.value(row))),
        Values::Timestamp(array) => {
            arguments.add(array.is_valid(row).then(|| wall_clock(array.value(row))).transpose()?)
        }
        Values::Shown(texts) => arguments.add(texts.get(row)),
    }
}

/// Refuses NaN, which SQLite would store as null.
fn number(value: f64) -> Result<f64, BoxDynError> {
    if value.is_nan() {
        Err("NaN can't be stored: let the operator reject the row or answer null".into())
    } else {
        Ok(value)
    }
}

fn wall_clock(micros: i64) -> Result<String, BoxDynError> {
    let text = time::shown(micros);
    text.ok_or_else(|| format!("the time of {micros} microseconds since 1970 isn't in the years 0 to 9999").into())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use jiff::civil::DateTime;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_whole_second_has_no_fraction() {
        assert_eq!(wall_clock(1_629_107_281_000_000).unwrap(), "2021-08-16 09:48:01");
        assert_eq!(wall_clock(1_629_107_281_000_050).unwrap(), "2021-08-16 09:48:01.000050");
        assert_eq!(wall_clock(-1).unwrap(), "1969-12-31 23:59:59.999999");
    }

    #[test]
    fn a_time_that_no_text_of_four_year_digits_holds_is_refused() {
        for micros in [i64::MIN, i64::MAX, 253_402_300_800_000_000] {
            assert!(wall_clock(micros).is_err());
        }
    }

    proptest! {
        #[test]
        fn the_text_reads_back_as_the_time(micros in -62_000_000_000_000_000i64..253_402_300_800_000_000) {
            let text = wall_clock(micros).unwrap();
            let time: DateTime = text.parse().unwrap();
            prop_assert_eq!(DateTime::constant(1970, 1, 1, 0, 0, 0, 0) + SignedDuration::from_micros(micros), time);
        }
    }
}
