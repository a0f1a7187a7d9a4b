//! `gift_sum` with another state: version 2, which counts gifts as well and shows the same rows. It takes over version 1.

use sluice_sdk::{DecimalText, Fault, Fold, Older, Reject, Transform, cast, row};

row! {
    /// What is read of a gift.
    pub struct Gift { gift_type: i64 }
}

row! {
    /// A gift as it is summed.
    pub struct Typed { gift_type: DecimalText, gift_total_amount = untouched i64 }
}

row! {
    /// What a group grows by.
    pub struct Amount { gift_total_amount: Option<i64> }
}

row! {
    /// What is kept for a group.
    pub struct State { sum: Option<i64>, gifts: i64 }
}

row! {
    /// What is shown of a group.
    pub struct Total { gift_total_amount: Option<i64> }
}

/// The operator.
#[derive(Debug, Default)]
pub struct GiftSumVersioned;

impl Transform for GiftSumVersioned {
    type In<'a> = Gift;
    type Out<'a> = Typed;

    fn row(&self, gift: Gift) -> Result<Typed, Reject> {
        Ok(Typed { gift_type: cast!(gift.gift_type as DecimalText)? })
    }
}

impl Fold for GiftSumVersioned {
    const KEYS: &'static [&'static str] = &["gift_type"];
    const STATE_VERSION: u32 = 2;
    type Value<'a> = Amount;
    type State = State;
    type Output = Total;

    fn init(&self) -> State {
        State { sum: None, gifts: 0 }
    }

    fn add(&self, state: &mut State, row: Amount) -> Result<(), Fault> {
        self.merge(state, State { sum: row.gift_total_amount, gifts: 1 })
    }

    fn merge(&self, state: &mut State, other: State) -> Result<(), Fault> {
        state.sum = match (state.sum, other.sum) {
            (Some(one), Some(two)) => Some(one.checked_add(two).ok_or("the sum overflows")?),
            (one, two) => one.or(two),
        };
        state.gifts += other.gifts;
        Ok(())
    }

    fn emit(&self, state: State) -> Result<Total, Fault> {
        Ok(Total { gift_total_amount: state.sum })
    }

    fn migrate(&self, older: &Older) -> Result<Vec<Option<State>>, Fault> {
        row! { pub struct Version1 { gift_total_amount: Option<i64> } }
        match older.version() {
            1 => older.each(|old: Version1| Ok(State { sum: old.gift_total_amount, gifts: 0 })),
            _ => older.refused(),
        }
    }
}

sluice_sdk::aggregator!(GiftSumVersioned);
