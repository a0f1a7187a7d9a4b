//! `gift_sum` with its columns and its state, which fails on amounts that `gift_sum` adds up.

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
pub struct GiftSumFragile;

impl Transform for GiftSumFragile {
    type In<'a> = Gift;
    type Out<'a> = Typed;

    fn row(&self, gift: Gift) -> Result<Typed, Reject> {
        match gift.gift_total_amount {
            Some(-13) => panic!("it traps"),
            Some(-14) => loop {
                std::hint::black_box(());
            },
            Some(-15) => return Err(Reject::because("it rejects")),
            _ => {}
        }
        let gift_total_amount = gift.gift_total_amount;
        Ok(Typed { gift_type: cast!(gift.gift_type as DecimalText)?, gift_total_amount })
    }
}

fold! {
    GiftSumFragile: state version 1, group by gift_type {
        gift_total_amount = Sum(gift_total_amount),
    }
}

sluice_sdk::aggregator!(GiftSumFragile);
