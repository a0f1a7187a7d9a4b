use std::error::Error;

use sluice_sdk::cast::timestamp;
use sluice_sdk::testing::{Null, Outcome, Table, Trial, table};

use super::*;

fn cleaned(entries: &Table) -> Result<Outcome, String> {
    Trial::<LiveCleanup>::open("{}")?.transform(entries)
}

#[test]
fn an_entry_is_cast_as_the_sql_casts_it_in_the_order_of_the_table() -> Result<(), Box<dyn Error>> {
    let entries = table! {
        user_id: i64, ip: &str, room_id: i64, arrive_time: &str, leave_time: &str, create_time: &str,
        region_code: i64, grade: i64, province: &str;
        [
            3165, "123.0.0.105", 20210813, "2021-08-16 09:48:01", "2021-08-16T09:48:02.25", "2021-08-16 09:48:03",
            1122, 1, "浙江",
        ],
    };
    let at = timestamp("2021-08-16 09:48:01")?;
    let expected = table! {
        user_id: i64, ip: &str, room_id: &str, arrive_time: Timestamp, leave_time: Timestamp, create_time: Timestamp,
        region_code: &str, grade: i64, province: &str;
        [
            3165, "123.0.0.105", "20210813", at, Timestamp::from_micros(at.micros() + 1_250_000),
            Timestamp::from_micros(at.micros() + 2_000_000), "1122", 1, "浙江",
        ],
    };
    assert_eq!(cleaned(&entries)?, Outcome { rows: expected, rejected: vec![] });
    Ok(())
}

#[test]
fn a_null_user_is_user_0_and_every_other_null_stays_null() -> Result<(), String> {
    let entries = table! {
        user_id: i64, ip: &str, room_id: i64, arrive_time: &str, leave_time: &str, create_time: &str,
        region_code: i64, grade: i64, province: &str;
        [Null, Null, Null, Null, Null, Null, Null, Null, Null],
    };
    let expected = table! {
        user_id: i64, ip: &str, room_id: &str, arrive_time: Timestamp, leave_time: Timestamp, create_time: Timestamp,
        region_code: &str, grade: i64, province: &str;
        [0, Null, Null, Null, Null, Null, Null, Null, Null],
    };
    assert_eq!(cleaned(&entries)?, Outcome { rows: expected, rejected: vec![] });
    Ok(())
}

#[test]
fn a_time_that_is_none_rejects_its_row_and_the_others_go_on_with_their_own_columns() -> Result<(), String> {
    let entries = table! {
        user_id: i64, ip: &str, room_id: i64, arrive_time: &str, leave_time: &str, create_time: &str,
        region_code: i64, grade: i64, province: &str;
        [1, "a", -7, Null, Null, Null, Null, 1, "x"],
        [2, "b", 8, Null, "2021-02-29 00:00:00", Null, Null, 2, "y"],
        [3, "c", 0, Null, Null, Null, 9, 3, "z"],
    };
    let expected = table! {
        user_id: i64, ip: &str, room_id: &str, arrive_time: Timestamp, leave_time: Timestamp, create_time: Timestamp,
        region_code: &str, grade: i64, province: &str;
        [1, "a", "-7", Null, Null, Null, Null, 1, "x"],
        [3, "c", "0", Null, Null, Null, "9", 3, "z"],
    };
    let reason = "`leave_time`: \"2021-02-29 00:00:00\" is not a timestamp like 2021-08-16 09:48:01".to_owned();
    assert_eq!(cleaned(&entries)?, Outcome { rows: expected, rejected: vec![(1, reason)] });
    Ok(())
}
