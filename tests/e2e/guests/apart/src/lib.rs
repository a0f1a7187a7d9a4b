//! `gift_sum` with its columns and its state, which counts in groups of its own: a table tells which records it took in, and
//! which the version before, wherever the border between them is.

use sluice_sdk::{DecimalText, Reject, Sum, Transform, cast, fold, row};

/// What its groups' types are beyond.
const APART: i64 = 1_000_000_000;

row! {
    /// What is read of a gift.
    pub struct Gift { gift_type: i64 }
}

row! {
    /// A gift as it is summed.
    pub struct Typed { gift_type: DecimalText, gift_total_amount = untouched i64 }
}

/// The operator.
#[derive(Debug, Default)]
pub struct GiftSumApart;

impl Transform for GiftSumApart {
    type In<'a> = Gift;
    type Out<'a> = Typed;

    fn row(&self, gift: Gift) -> Result<Typed, Reject> {
        let gift = Gift { gift_type: gift.gift_type.wrapping_add(APART) };
        Ok(Typed { gift_type: cast!(gift.gift_type as DecimalText)? })
    }
}

fold! {
    GiftSumApart: state version 1, group by gift_type {
        gift_total_amount = Sum(gift_total_amount),
    }
}

sluice_sdk::aggregator!(GiftSumApart);
