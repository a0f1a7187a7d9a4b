//! An operator as a component: the exports of the contract's worlds, over the loops of [`transform`](crate::transform)
//! and [`fold`](crate::fold).

use std::cell::RefCell;
use std::marker::PhantomData;
use std::thread::LocalKey;

use crate::contract::aggregator::exports::sluice::operator::transform as aggregator;
use crate::contract::{Batch, Column, Field, fold, transform};
use crate::{Fold, Transform};

/// Where an instance keeps its operator from `open` on.
pub type Slot<T> = RefCell<Option<T>>;

/// An operator that has a place. Implemented by [`transformer!`](crate::transformer!) and
/// [`aggregator!`](crate::aggregator!).
pub trait Installed: Transform {
    /// The instance's operator. An instance has one thread.
    fn slot() -> &'static LocalKey<Slot<Self>>;
}

/// The exports of an operator.
pub struct Component<T>(PhantomData<T>);

fn open<T: Installed>(config: &str) -> Result<(), String> {
    // A panic ends in a trap, which has no words of its own: the host puts the last line before it into the reason.
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| crate::log::error(&panic.to_string())));
    let operator = T::open(config)?;
    T::slot().set(Some(operator));
    Ok(())
}

fn with<T: Installed, R>(call: impl FnOnce(&T) -> Result<R, String>) -> Result<R, String> {
    T::slot().with_borrow(|slot| call(slot.as_ref().ok_or("the operator was called before it was opened")?))
}

impl<T: Installed> transform::Guest for Component<T> {
    fn open(config: String, input: Vec<Field>) -> Result<transform::Plan, String> {
        open::<T>(&config)?;
        crate::transform::plan::<T>(&input)
    }

    fn process(input: Batch) -> Result<transform::Produced, String> {
        with(|operator: &T| crate::transform::process(operator, &input))
    }
}

impl<T: Installed + Fold> fold::Guest for Component<T> {
    fn open(config: String, input: Vec<Field>) -> Result<fold::Plan, String> {
        open::<T>(&config)?;
        crate::fold::plan::<T>(&input)
    }

    fn accumulate(groups: Vec<u8>, values: Batch, states: Batch) -> Result<Vec<Column>, String> {
        with(|operator: &T| crate::fold::accumulate(operator, &groups, &values, &states))
    }

    fn merge(left: Batch, right: Batch) -> Result<Vec<Column>, String> {
        with(|operator: &T| crate::fold::merge(operator, &left, &right))
    }

    fn emit(states: Batch) -> Result<Vec<Column>, String> {
        with(|operator: &T| crate::fold::emit(operator, &states))
    }

    fn migrate(version: u32, state: Vec<Field>, states: Batch) -> Result<Vec<Column>, String> {
        with(|operator: &T| crate::fold::migrate(operator, version, &state, states))
    }
}

/// The world `aggregator` has a transform of the same form and another type, since each world is generated for itself.
impl<T: Installed> aggregator::Guest for Component<T> {
    fn open(config: String, input: Vec<Field>) -> Result<aggregator::Plan, String> {
        let origin = |origin| match origin {
            transform::Origin::Input(index) => aggregator::Origin::Input(index),
            transform::Origin::Computed(kind) => aggregator::Origin::Computed(kind),
        };
        let plan = <Self as transform::Guest>::open(config, input)?;
        let output =
            |output: transform::Output| aggregator::Output { name: output.name, origin: origin(output.origin) };
        Ok(aggregator::Plan { reads: plan.reads, outputs: plan.outputs.into_iter().map(output).collect() })
    }

    fn process(input: Batch) -> Result<aggregator::Produced, String> {
        let transform::Produced { rows, columns, selection, rejected } = <Self as transform::Guest>::process(input)?;
        let rejection = |it: transform::Rejection| aggregator::Rejection { row: it.row, reason: it.reason };
        Ok(aggregator::Produced { rows, columns, selection, rejected: rejected.into_iter().map(rejection).collect() })
    }
}

/// Makes a [`Transform`](crate::Transform) the operator of its crate. Once in a crate, beside the type.
///
/// Exports exist only in WebAssembly: natively, for tests and benchmarks, any number of operators link together.
#[macro_export]
macro_rules! transformer {
    ($operator:ident) => {
        $crate::__export! { $operator, $crate::contract::transformer }
    };
}

/// Makes a [`Fold`](crate::Fold) with its transform the operator of its crate. Once in a crate, beside the type.
///
/// Exports exist only in WebAssembly: natively, for tests and benchmarks, any number of operators link together.
#[macro_export]
macro_rules! aggregator {
    ($operator:ident) => {
        $crate::__export! { $operator, $crate::contract::aggregator }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($operator:ident, $($world:tt)*) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "exports are unsafe by name: nothing else may have theirs")]
        const _: () = {
            impl $crate::export::Installed for $operator {
                fn slot() -> &'static ::std::thread::LocalKey<$crate::export::Slot<Self>> {
                    ::std::thread_local! {
                        static SLOT: $crate::export::Slot<$operator> = const { ::std::cell::RefCell::new(None) };
                    }
                    &SLOT
                }
            }

            type Exported = $crate::export::Component<$operator>;
            $($world)*::export!(Exported with_types_in $($world)*);
        };
    };
}
