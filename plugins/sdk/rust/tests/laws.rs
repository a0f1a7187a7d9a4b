//! `check_laws` finds a fold that breaks each of the laws, and passes one that keeps them.

use sluice_sdk::testing::{Table, Trial, table};
use sluice_sdk::{Fold, Reject, Transform, row};

row! { pub struct Rows { key = untouched i64, value = untouched i64 } }
row! { pub struct Value { value: i64 } }
row! { pub struct State { kept: i64 } }

/// A fold of this state, with these ways to start, to add and to merge.
macro_rules! broken {
    ($name:ident, $init:expr, $add:expr, $merge:expr) => {
        #[derive(Default)]
        struct $name;

        impl Transform for $name {
            type In<'a> = ();
            type Out<'a> = Rows;

            fn row(&self, _: ()) -> Result<Rows, Reject> {
                Ok(Rows {})
            }
        }

        impl Fold for $name {
            const KEYS: &'static [&'static str] = &["key"];
            const STATE_VERSION: u32 = 1;
            type Value<'a> = Value;
            type State = State;
            type Output = State;

            fn init(&self) -> State {
                State { kept: $init }
            }

            fn add(&self, state: &mut State, row: Value) -> Result<(), String> {
                let add: fn(i64, i64) -> i64 = $add;
                state.kept = add(state.kept, row.value);
                Ok(())
            }

            fn merge(&self, state: &mut State, other: State) -> Result<(), String> {
                let merge: fn(i64, i64) -> i64 = $merge;
                state.kept = merge(state.kept, other.kept);
                Ok(())
            }

            fn emit(&self, state: State) -> Result<State, String> {
                Ok(state)
            }
        }
    };
}

broken!(Max, i64::MIN, i64::max, i64::max);
broken!(Last, 0, |_, value| value, |_, other| other);
broken!(CountsPairs, 0, |state, _| state + 1, |state, other| state + other + 1);
broken!(StartsAtOne, 1, |state, value| state + value, |state, other| state + other);
broken!(Subtracts, 0, |state, value| state - value, |state, other| state - other);

fn rows() -> Table {
    table! { key: i64, value: i64; [1, 5], [2, 3], [1, 5], [2, -4], [1, 0], [2, 8], [1, 2] }
}

fn broken_law<F: Fold>() -> Option<String> {
    Trial::<F>::open("{}").and_then(|trial| trial.check_laws(&rows())).err()
}

#[test]
fn a_fold_that_keeps_the_laws_passes() {
    assert_eq!(broken_law::<Max>(), None);
}

#[test]
fn a_fold_that_breaks_a_law_is_found_and_the_law_named() {
    let broken = [
        ("the order of rows", broken_law::<Last>()),
        ("merging counts something", broken_law::<CountsPairs>()),
        ("a start that isn't the identity", broken_law::<StartsAtOne>()),
        ("a merge that isn't commutative", broken_law::<Subtracts>()),
    ];
    for (what, law) in broken {
        assert!(law.as_ref().is_some_and(|law| law.contains("broken: ")), "{what}: {law:?}");
    }
}

#[test]
fn no_rows_break_no_law() {
    let none = table! { key: i64, value: i64; };
    assert_eq!(Trial::<Last>::open("{}").and_then(|trial| trial.check_laws(&none)), Ok(()));
}
