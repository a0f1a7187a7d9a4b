//! `check_laws` finds a fold that breaks each of the laws, and passes one that keeps them.

use sluice_sdk::testing::{Table, Trial, table};
use sluice_sdk::{Fault, Fold, Reject, Transform, row};

row! { pub struct Rows { key = untouched i64, value = untouched i64 } }
row! { pub struct Value { value: i64 } }
row! { pub struct State { kept: i64 } }

/// A fold of this state, with these ways to start, to add and to merge.
macro_rules! fold_of {
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

            fn add(&self, state: &mut State, row: Value) -> Result<(), Fault> {
                const ADD: fn(i64, i64) -> i64 = $add;
                state.kept = ADD(state.kept, row.value);
                Ok(())
            }

            fn merge(&self, state: &mut State, other: State) -> Result<(), Fault> {
                const MERGE: fn(i64, i64) -> i64 = $merge;
                state.kept = MERGE(state.kept, other.kept);
                Ok(())
            }

            fn emit(&self, state: State) -> Result<State, Fault> {
                Ok(state)
            }
        }
    };
}

fold_of!(Max, i64::MIN, i64::max, i64::max);
fold_of!(MergesIntoTheMiddle, 0, i64::wrapping_add, |state, other| (state + other) / 2);
fold_of!(KeepsTheLast, 0, |_, value| value, |_, other| other);
fold_of!(StartsAtOne, 1, i64::wrapping_add, i64::wrapping_add);
fold_of!(MergesSumsAsMaxima, 0, |state, value| state + value.abs(), i64::max);

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
        (broken_law::<MergesIntoTheMiddle>(), "merge is associative"),
        (broken_law::<KeepsTheLast>(), "merge is commutative"),
        (broken_law::<StartsAtOne>(), "an all-null state is merge's identity"),
        (
            broken_law::<MergesSumsAsMaxima>(),
            "accumulate(a ++ b, null) = merge(accumulate(a, null), accumulate(b, null))",
        ),
    ];
    for (problem, law) in broken {
        assert!(problem.as_ref().is_some_and(|it| it.contains(&format!("broken: {law};"))), "{law}: {problem:?}");
    }
}

#[test]
fn no_rows_break_no_law() {
    let none = table! { key: i64, value: i64; };
    assert_eq!(Trial::<KeepsTheLast>::open("{}").and_then(|trial| trial.check_laws(&none)), Ok(()));
}
