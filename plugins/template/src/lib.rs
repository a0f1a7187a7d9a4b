//! A metric to copy: what a gift of each user is worth on average.
//!
//! ```sql
//! SELECT user_id, AVG(gift_total_amount) AS mean_amount
//! FROM live_gift_total
//! WHERE user_id >= 0
//! GROUP BY user_id
//! ```
//!
//! SQL's sums and counts need no `Fold` of their own: see `gift_sum` beside this, and `sluice_sdk::fold!`.

use sluice_sdk::{Fault, Fold, Reject, Transform, row};

row! {
    /// The columns that the transform reads. `i64`: a null rejects its row. `Option<i64>`: a null is `None`.
    pub struct Gift { user_id: i64 }
}

row! {
    /// The columns that the transform makes. An untouched one is the input's as it is.
    pub struct Given {
        user_id: i64,
        gift_total_amount = untouched i64,
    }
}

row! {
    /// What the fold reads of the transform's columns.
    pub struct Amount { gift_total_amount: Option<i64> }
}

row! {
    /// What is kept for each user, between batches and between versions of this metric.
    pub struct State { sum: i64, gifts: i64 }
}

row! {
    /// What follows the key in the table.
    pub struct Mean { mean_amount: Option<f64> }
}

/// The operator.
#[derive(Debug, Default)]
pub struct MeanGift;

impl Transform for MeanGift {
    type In<'a> = Gift;
    type Out<'a> = Given;

    fn keep(&self, gift: &Gift) -> bool {
        gift.user_id >= 0
    }

    fn row(&self, gift: Gift) -> Result<Given, Reject> {
        Ok(Given { user_id: gift.user_id })
    }
}

impl Fold for MeanGift {
    const KEYS: &'static [&'static str] = &["user_id"];
    const STATE_VERSION: u32 = 1;
    type Value<'a> = Amount;
    type State = State;
    type Output = Mean;

    fn init(&self) -> State {
        State { sum: 0, gifts: 0 }
    }

    fn add(&self, state: &mut State, gift: Amount) -> Result<(), Fault> {
        gift.gift_total_amount.map_or(Ok(()), |sum| self.merge(state, State { sum, gifts: 1 }))
    }

    fn merge(&self, state: &mut State, other: State) -> Result<(), Fault> {
        state.sum = state.sum.checked_add(other.sum).ok_or("the sum of the amounts overflows int64")?;
        state.gifts += other.gifts;
        Ok(())
    }

    fn emit(&self, state: State) -> Result<Mean, Fault> {
        Ok(Mean { mean_amount: (state.gifts > 0).then(|| state.sum as f64 / state.gifts as f64) })
    }
}

sluice_sdk::aggregator!(MeanGift);

#[cfg(test)]
mod tests {
    use sluice_sdk::testing::{Null, Table, Trial, table};

    use super::*;

    fn gifts() -> Table {
        table! {
            user_id: i64, gift_total_amount: i64;
            [2000, 10],
            [-1, 1000],
            [Null, 1000],
            [2000, 5],
            [2001, Null],
            [2000, Null],
        }
    }

    #[test]
    fn a_mean_is_of_the_gifts_that_have_an_amount() -> Result<(), String> {
        let result = Trial::<MeanGift>::open("{}")?.aggregate(&gifts())?;
        assert_eq!(result.rows, table! { user_id: i64, mean_amount: f64; [2000, 7.5], [2001, Null] });
        assert_eq!(result.rejected, [(2, "`user_id` is null".to_owned())]);
        Ok(())
    }

    #[test]
    fn it_doesnt_matter_how_the_host_splits_the_rows() -> Result<(), String> {
        Trial::<MeanGift>::open("{}")?.check_laws(&gifts())
    }
}
