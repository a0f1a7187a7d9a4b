//! Sums of decimals: `SELECT account, SUM(amount) AS total FROM amounts GROUP BY account`.

use sluice_sdk::{Decimal, Reject, Sum, Transform, fold, row};

row! {
    /// An amount as it comes in, which enters the fold alone.
    pub struct Amount { account = untouched i64, amount = untouched Decimal<38, 6> }
}

/// The operator.
#[derive(Debug, Default)]
pub struct Amounts;

impl Transform for Amounts {
    type In<'a> = ();
    type Out<'a> = Amount;

    fn row(&self, _: ()) -> Result<Amount, Reject> {
        Ok(Amount {})
    }
}

fold! {
    Amounts: state version 1, group by account {
        total = Sum<Decimal<38, 6>>(amount),
    }
}

sluice_sdk::aggregator!(Amounts);
