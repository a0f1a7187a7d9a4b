//! States of an older version, as authors take them over.

use sluice_sdk::testing::{Null, Trial, table};
use sluice_sdk::{Count, Fault, Fold, Older, Reject, Sum, Transform, fold, row};

row! { pub struct Gifts { user_id = untouched i64, amount = untouched i64 } }

macro_rules! metric {
    ($name:ident) => {
        #[derive(Debug, Default)]
        struct $name;

        impl Transform for $name {
            type In<'a> = ();
            type Out<'a> = Gifts;

            fn row(&self, _: ()) -> Result<Gifts, Reject> {
                Ok(Gifts {})
            }
        }
    };
}

metric!(Counted);

fold! {
    Counted: state version 2 from 1, group by user_id {
        total = Sum(amount),
        gifts = Count<i64>(amount),
    }
}

#[test]
fn a_declared_fold_keeps_columns_by_name_and_new_ones_begin_with_nothing() -> Result<(), String> {
    let old = table! { total: i64, dropped: i64; [5, 1], [Null, Null] };
    let migrated = Trial::<Counted>::open("{}")?.migrate(1, &old)?;
    assert_eq!(migrated, table! { total: i64, gifts: i64; [5, 0], [Null, 0] });
    Ok(())
}

#[test]
fn versions_that_are_not_named_are_refused() -> Result<(), String> {
    let old = table! { total: i64; [5] };
    let refused = Trial::<Counted>::open("{}")?.migrate(7, &old);
    assert_eq!(refused, Err("states of version 7 are not taken over".to_owned()));
    Ok(())
}

#[test]
fn a_column_that_had_another_kind_is_refused() -> Result<(), String> {
    let old = table! { total: &str; ["5"] };
    let refused = Trial::<Counted>::open("{}")?.migrate(1, &old);
    assert_eq!(refused, Err("`total` had another kind in version 1".to_owned()));
    Ok(())
}

metric!(Halves);
row! { pub struct Amount { amount: i64 } }
row! { pub struct State { half: i64 } }
row! { pub struct Output { total: i64 } }

impl Fold for Halves {
    const KEYS: &'static [&'static str] = &["user_id"];
    const STATE_VERSION: u32 = 2;
    type Value<'a> = Amount;
    type State = State;
    type Output = Output;

    fn init(&self) -> State {
        State { half: 0 }
    }

    fn add(&self, state: &mut State, row: Amount) -> Result<(), Fault> {
        state.half += row.amount / 2;
        Ok(())
    }

    fn merge(&self, state: &mut State, other: State) -> Result<(), Fault> {
        state.half += other.half;
        Ok(())
    }

    fn emit(&self, state: State) -> Result<Output, Fault> {
        Ok(Output { total: state.half * 2 })
    }

    fn migrate(&self, older: &Older) -> Result<Vec<Option<State>>, Fault> {
        row! { pub struct Version1 { total: i64 } }
        match older.version() {
            1 => older.each(|old: Version1| Ok(State { half: old.total / 2 })),
            _ => older.refused(),
        }
    }
}

#[test]
fn a_fold_makes_its_states_of_older_rows() -> Result<(), String> {
    let trial = Trial::<Halves>::open("{}")?;
    let migrated = trial.migrate(1, &table! { total: i64; [10], [Null] })?;
    assert_eq!(migrated, table! { half: i64; [5], [0] });
    let missing = trial.migrate(1, &table! { sum: i64; [10] }).unwrap_err();
    assert!(missing.contains("there is no column `total`"), "{missing}");
    Ok(())
}
