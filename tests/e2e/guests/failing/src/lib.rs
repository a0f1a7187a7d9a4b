//! `gift_sum`, which does good work and then traps: at gifts of which there is one among some thousand.
//!
//! It traps at the same gift however often it is tried: a trap that an instance's own past is to blame for is gone with the
//! instance, and is nothing to roll back.

use std::sync::atomic::{AtomicU64, Ordering};

use sluice_sdk::{DecimalText, Reject, Sum, Transform, cast, fold, row};

/// Of the generator's gifts one in a thousand is this, by type and amount.
const FATAL: (i64, i64) = (7, 77);

/// How many rows of good work it has done: what a host must not take for a reason to trust it.
static GOOD: AtomicU64 = AtomicU64::new(0);

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
pub struct GiftSumFailing;

impl Transform for GiftSumFailing {
    type In<'a> = Gift;
    type Out<'a> = Typed;

    fn row(&self, gift: Gift) -> Result<Typed, Reject> {
        if gift.gift_total_amount.is_some_and(|amount| (gift.gift_type, amount) == FATAL) {
            panic!("it traps after {} rows of good work", GOOD.load(Ordering::Relaxed));
        }
        GOOD.fetch_add(1, Ordering::Relaxed);
        let gift_total_amount = gift.gift_total_amount;
        Ok(Typed { gift_type: cast!(gift.gift_type as DecimalText)?, gift_total_amount })
    }
}

fold! {
    GiftSumFailing: state version 1, group by gift_type {
        gift_total_amount = Sum(gift_total_amount),
    }
}

sluice_sdk::aggregator!(GiftSumFailing);
