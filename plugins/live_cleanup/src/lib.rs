//! The entry log, cleaned.
//!
//! ```sql
//! SELECT CASE WHEN user_id IS NULL THEN 0 ELSE user_id END AS user_id, ip
//! , CAST(room_id AS VARCHAR) AS room_id
//! , CAST(arrive_time AS TIMESTAMP) AS arrive_time, CAST(leave_time AS TIMESTAMP) AS leave_time
//! , CAST(create_time AS TIMESTAMP) AS create_time
//! , CAST(region_code AS VARCHAR) AS region_code, grade, province FROM live_streaming_log
//! ```

use sluice_sdk::{DecimalText, Reject, Timestamp, Transform, cast, row};

row! {
    pub struct Entry<'a> {
        user_id: Option<i64>,
        room_id: Option<i64>,
        arrive_time: Option<&'a str>,
        leave_time: Option<&'a str>,
        create_time: Option<&'a str>,
        region_code: Option<i64>,
    }
}

row! {
    /// In the table's order.
    pub struct Cleaned {
        user_id: i64,
        ip = untouched &str,
        room_id: Option<DecimalText>,
        arrive_time: Option<Timestamp>,
        leave_time: Option<Timestamp>,
        create_time: Option<Timestamp>,
        region_code: Option<DecimalText>,
        grade = untouched i64,
        province = untouched &str,
    }
}

/// The operator.
#[derive(Debug, Default)]
pub struct LiveCleanup;

impl Transform for LiveCleanup {
    type In<'a> = Entry<'a>;
    type Out<'a> = Cleaned;

    fn row(&self, entry: Entry<'_>) -> Result<Cleaned, Reject> {
        Ok(Cleaned {
            user_id: entry.user_id.unwrap_or(0),
            room_id: cast!(entry.room_id as DecimalText)?,
            arrive_time: cast!(entry.arrive_time as Timestamp)?,
            leave_time: cast!(entry.leave_time as Timestamp)?,
            create_time: cast!(entry.create_time as Timestamp)?,
            region_code: cast!(entry.region_code as DecimalText)?,
        })
    }
}

sluice_sdk::transformer!(LiveCleanup);

#[cfg(test)]
mod tests;
