//! `live_cleanup`, whose users are others: a table tells which rows it made, and which the version before, wherever the border
//! between them is.

use sluice_sdk::{DecimalText, Reject, Timestamp, Transform, cast, row};

/// What its users' ids are beyond.
const APART: i64 = 1_000_000_000;

row! {
    /// What is read of an entry.
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
pub struct LiveCleanupApart;

impl Transform for LiveCleanupApart {
    type In<'a> = Entry<'a>;
    type Out<'a> = Cleaned;

    fn row(&self, entry: Entry<'_>) -> Result<Cleaned, Reject> {
        Ok(Cleaned {
            user_id: entry.user_id.unwrap_or(0).wrapping_add(APART),
            room_id: cast!(entry.room_id as DecimalText)?,
            arrive_time: cast!(entry.arrive_time as Timestamp)?,
            leave_time: cast!(entry.leave_time as Timestamp)?,
            create_time: cast!(entry.create_time as Timestamp)?,
            region_code: cast!(entry.region_code as DecimalText)?,
        })
    }
}

sluice_sdk::transformer!(LiveCleanupApart);
