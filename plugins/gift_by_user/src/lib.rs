//! Gift totals for each user.
//!
//! ```sql
//! SELECT user_id, SUM(gift_total_amount) AS gift_total_amount
//! FROM live_gift_total
//! GROUP BY user_id
//! ```
//!
//! A gift without a user is rejected: null is no key of the table.

use sluice_sdk::{Reject, Sum, Transform, fold, row};

row! {
    /// What is read of a gift.
    pub struct Gift { user_id: i64 }
}

row! {
    /// A gift as it is summed. The user isn't untouched, so that its nulls are looked at.
    pub struct Given {
        user_id: i64,
        gift_total_amount = untouched i64,
    }
}

/// The operator.
#[derive(Debug, Default)]
pub struct GiftByUser;

impl Transform for GiftByUser {
    type In<'a> = Gift;
    type Out<'a> = Given;

    fn row(&self, gift: Gift) -> Result<Given, Reject> {
        Ok(Given { user_id: gift.user_id })
    }
}

fold! {
    GiftByUser: state version 1, group by user_id {
        gift_total_amount = Sum(gift_total_amount),
    }
}

sluice_sdk::aggregator!(GiftByUser);

#[cfg(test)]
mod tests {
    use sluice_sdk::testing::{Null, Table, Trial, table};

    use super::*;

    fn gifts() -> Table {
        table! {
            user_id: i64, gift_total_amount: i64;
            [2000, 28],
            [Null, 5],
            [3999, Null],
            [2000, 2],
        }
    }

    #[test]
    fn amounts_add_up_by_user_and_a_gift_of_nobody_is_rejected() -> Result<(), String> {
        let result = Trial::<GiftByUser>::open("{}")?.aggregate(&gifts())?;
        assert_eq!(result.rows, table! { user_id: i64, gift_total_amount: i64; [2000, 30], [3999, Null] });
        assert_eq!(result.rejected, [(1, "`user_id` is null".to_owned())]);
        Ok(())
    }

    #[test]
    fn it_doesnt_matter_how_the_host_splits_the_rows() -> Result<(), String> {
        Trial::<GiftByUser>::open("{}")?.check_laws(&gifts())
    }
}
