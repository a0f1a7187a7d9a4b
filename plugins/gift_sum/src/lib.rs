//! Gift totals.
//!
//! ```sql
//! SELECT CAST(gift_type AS VARCHAR) AS gift_type
//! , SUM(gift_total_amount) AS gift_total_amount
//! FROM live_gift_total
//! GROUP BY CAST(gift_type AS VARCHAR)
//! ```
//!
//! A gift without a type is rejected: null is no key of the table.

use sluice_sdk::{DecimalText, Reject, Sum, Transform, cast, fold, row};

row! {
    /// What is read of a gift.
    pub struct Gift { gift_type: i64 }
}

row! {
    /// A gift as it is summed.
    pub struct Typed {
        gift_type: DecimalText,
        gift_total_amount = untouched i64,
    }
}

/// The operator.
#[derive(Debug, Default)]
pub struct GiftSum;

impl Transform for GiftSum {
    type In<'a> = Gift;
    type Out<'a> = Typed;

    fn row(&self, gift: Gift) -> Result<Typed, Reject> {
        Ok(Typed { gift_type: cast!(gift.gift_type as DecimalText)? })
    }
}

fold! {
    GiftSum: state version 1, group by gift_type {
        gift_total_amount = Sum(gift_total_amount),
    }
}

sluice_sdk::aggregator!(GiftSum);

#[cfg(test)]
mod tests {
    use sluice_sdk::testing::{Null, Outcome, Table, Trial, table};

    use super::*;

    fn summed(gifts: &Table) -> Result<Outcome, String> {
        Trial::<GiftSum>::open("{}")?.aggregate(gifts)
    }

    #[test]
    fn amounts_add_up_by_type_as_text_and_nulls_dont_add() -> Result<(), String> {
        let gifts = table! {
            user_id: i64, gift_type: i64, gift_total_amount: i64;
            [2000, 3, 28],
            [2001, -10, 1],
            [2002, 3, Null],
            [Null, 3, 72],
            [2003, 7, Null],
        };
        let expected = table! {
            gift_type: &str, gift_total_amount: i64;
            ["3", 100],
            ["-10", 1],
            ["7", Null],
        };
        assert_eq!(summed(&gifts)?, Outcome { rows: expected, rejected: vec![] });
        Ok(())
    }

    #[test]
    fn a_gift_without_a_type_is_rejected_and_the_others_count() -> Result<(), String> {
        let gifts = table! { gift_type: i64, gift_total_amount: i64; [Null, 5], [1, 6] };
        let result = summed(&gifts)?;
        assert_eq!(result.rows, table! { gift_type: &str, gift_total_amount: i64; ["1", 6] });
        assert_eq!(result.rejected, [(0, "`gift_type` is null".to_owned())]);
        Ok(())
    }

    #[test]
    fn a_sum_beyond_int64_is_an_error_in_both_directions() {
        for (start, step) in [(i64::MAX, 1), (i64::MIN, -1)] {
            let gifts = table! { gift_type: i64, gift_total_amount: i64; [1, start], [1, step] };
            let expected = format!("`gift_total_amount`: {start} + {step} overflows int64");
            assert_eq!(summed(&gifts), Err(expected));
        }
    }

    #[test]
    fn a_sum_at_the_edge_of_int64_is_exact() -> Result<(), String> {
        let gifts = table! { gift_type: i64, gift_total_amount: i64; [1, i64::MAX - 1], [1, 1], [2, i64::MIN] };
        let expected = table! { gift_type: &str, gift_total_amount: i64; ["1", i64::MAX], ["2", i64::MIN] };
        assert_eq!(summed(&gifts)?.rows, expected);
        Ok(())
    }

    #[test]
    fn it_doesnt_matter_how_the_host_splits_the_rows() -> Result<(), String> {
        let gifts = table! {
            gift_type: i64, gift_total_amount: i64;
            [1, 10], [2, Null], [1, Null], [3, -5], [1, 7], [2, 1], [4, Null], [3, 5], [Null, 1],
        };
        Trial::<GiftSum>::open("{}")?.check_laws(&gifts)
    }

    #[test]
    fn other_columns_are_refused_with_what_is_missing_and_what_is_there() {
        let gifts = table! { gift_type: &str, user_id: i64; ["1", 1] };
        let expected = "column `gift_type` must be int64, and it is utf8; there is no column `gift_total_amount` \
                        (int64); the input has gift_type:utf8, user_id:int64";
        assert_eq!(summed(&gifts), Err(expected.to_owned()));
    }
}
