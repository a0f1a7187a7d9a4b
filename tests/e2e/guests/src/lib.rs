//! What could be the next version of `gift_sum`: its columns and its state, but each gift counts twice.

use sluice_sdk::{DecimalText, Reject, Sum, Transform, cast, fold, row};

row! {
    /// What is read of a gift.
    pub struct Gift { gift_type: i64, gift_total_amount: Option<i64> }
}

row! {
    /// A gift as it is summed.
    pub struct Typed { gift_type: DecimalText, gift_total_amount: Option<i64> }
}

/// The operator.
#[derive(Debug, Default)]
pub struct GiftSumDoubled;

impl Transform for GiftSumDoubled {
    type In<'a> = Gift;
    type Out<'a> = Typed;

    fn row(&self, gift: Gift) -> Result<Typed, Reject> {
        let gift_total_amount = gift.gift_total_amount.map(|amount| amount * 2);
        Ok(Typed { gift_type: cast!(gift.gift_type as DecimalText)?, gift_total_amount })
    }
}

fold! {
    GiftSumDoubled: state version 1, group by gift_type {
        gift_total_amount = Sum(gift_total_amount),
    }
}

sluice_sdk::aggregator!(GiftSumDoubled);
