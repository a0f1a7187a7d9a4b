//! Gift totals for each minute of their creation.
//!
//! ```sql
//! SELECT FLOOR(CAST(create_time AS TIMESTAMP) TO MINUTE) AS minute
//! , SUM(gift_total_amount) AS gift_total_amount
//! FROM live_gift_total
//! GROUP BY FLOOR(CAST(create_time AS TIMESTAMP) TO MINUTE)
//! ```
//!
//! A gift without a time is rejected: null is no key of the table.

use sluice_sdk::{Reject, Sum, Timestamp, Transform, cast, fold, row};

row! {
    /// What is read of a gift.
    pub struct Gift<'a> { create_time: &'a str }
}

row! {
    /// A gift as it is summed.
    pub struct Given {
        minute: Timestamp,
        gift_total_amount = untouched i64,
    }
}

/// The operator.
#[derive(Debug, Default)]
pub struct GiftByMinute;

impl Transform for GiftByMinute {
    type In<'a> = Gift<'a>;
    type Out<'a> = Given;

    fn row(&self, gift: Gift<'_>) -> Result<Given, Reject> {
        Ok(Given { minute: cast!(gift.create_time as Timestamp)?.truncate_to_minute() })
    }
}

fold! {
    GiftByMinute: state version 1, group by minute {
        gift_total_amount = Sum(gift_total_amount),
    }
}

sluice_sdk::aggregator!(GiftByMinute);

#[cfg(test)]
mod tests {
    use std::error::Error;

    use sluice_sdk::cast::timestamp;
    use sluice_sdk::testing::{Null, Table, Trial, table};

    use super::*;

    fn gifts() -> Table {
        table! {
            create_time: &str, gift_total_amount: i64;
            ["2021-08-16 09:46:00", 28],
            ["2021-08-16 09:46:59.999999", 2],
            ["2021-08-16 09:47:00", Null],
            ["1969-12-31 23:59:59", 1],
            [Null, 3],
            ["yesterday", 4],
        }
    }

    #[test]
    fn amounts_add_up_by_the_minute_also_before_1970() -> Result<(), Box<dyn Error>> {
        let expected = table! {
            minute: Timestamp, gift_total_amount: i64;
            [timestamp("2021-08-16 09:46:00")?, 30],
            [timestamp("2021-08-16 09:47:00")?, Null],
            [timestamp("1969-12-31 23:59:00")?, 1],
        };
        assert_eq!(Trial::<GiftByMinute>::open("{}")?.aggregate(&gifts())?.rows, expected);
        Ok(())
    }

    #[test]
    fn a_gift_without_a_time_is_rejected() -> Result<(), String> {
        let expected = [
            (4, "`create_time` is null".to_owned()),
            (5, "`create_time`: \"yesterday\" is not a timestamp like 2021-08-16 09:48:01".to_owned()),
        ];
        assert_eq!(Trial::<GiftByMinute>::open("{}")?.aggregate(&gifts())?.rejected, expected);
        Ok(())
    }

    #[test]
    fn it_doesnt_matter_how_the_host_splits_the_rows() -> Result<(), String> {
        Trial::<GiftByMinute>::open("{}")?.check_laws(&gifts())
    }
}
