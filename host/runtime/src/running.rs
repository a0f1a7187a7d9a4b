//! A live guest: one store, one instance in it, and calls under their limits.

use std::sync::Arc;
use std::time::Duration;

use sluice_core::operator::{Interrupt, OperatorError};
use wasmtime::{PoolConcurrencyLimitError, Store, StoreContextMut, UpdateDeadline};

use crate::artifact::Compiled;
use crate::boundary::Exports;
use crate::fault::{Interrupted, fault};
use crate::guest::Guest;
use crate::limits::{Limits, MAX_MESSAGE_BYTES, truncated};
use crate::ticker::Ticker;
use crate::together::Together;

/// The reason why there is no live guest.
#[derive(Debug)]
pub(crate) enum StartError {
    /// The host's pool is full.
    NoRoom(String),
    /// An export is not of the contract's type.
    OtherTypes(String),
    /// The guest's own doing.
    Failed(OperatorError),
}

/// Dropping it gives all that the guest has back, whatever state it is in.
pub(crate) struct Running {
    store: Store<Guest>,
    exports: Box<dyn Exports>,
    limits: Limits,
}

impl Running {
    /// Starts the instance. Calls by [`Running::go_on`] have the time that this leaves of `limits.open_time`.
    pub(crate) fn start(
        artifact: &Compiled,
        name: &str,
        limits: &Limits,
        together: &Arc<Together>,
        interrupt: &Interrupt,
    ) -> Result<Running, StartError> {
        let mut store = Store::new(artifact.pre.engine(), Guest::new(name, limits, together, interrupt));
        store.limiter(|guest| &mut guest.memory);
        // What the host allocates for a result or a log line, before anything of it can be looked at.
        store.set_hostcall_fuel(limits.output_bytes);
        store.epoch_deadline_callback(at_tick);
        allow(&mut store, limits.open_time);
        let instance = artifact.pre.instantiate(&mut store).map_err(|error| {
            if error.is::<PoolConcurrencyLimitError>() {
                StartError::NoRoom(format!(
                    "the host has no room for another instance ({error:#}): run fewer pipelines or lanes"
                ))
            } else {
                StartError::Failed(fault(&error, limits.open_time, limits))
            }
        })?;
        let exports = artifact.exports.load(&mut store, &instance);
        let exports = exports.map_err(|error| StartError::OtherTypes(format!("{error:#}")))?;
        Ok(Running { store, exports, limits: limits.clone() })
    }

    /// Makes calls end from now on when this is raised.
    pub(crate) fn interrupted_by(&mut self, interrupt: &Interrupt) {
        self.store.data_mut().interrupt = interrupt.clone();
    }

    /// The limits that it has.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Calls with the time that a call has. After an error that isn't the operator's own word, the guest must be dropped.
    pub(crate) fn call<T>(
        &mut self,
        function: impl FnOnce(&dyn Exports, &mut Store<Guest>) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<T, OperatorError> {
        let time = self.limits.call_time;
        allow(&mut self.store, time);
        self.call_within(time, function)
    }

    /// Makes a call within the rest of the time for opening.
    pub(crate) fn go_on<T>(
        &mut self,
        function: impl FnOnce(&dyn Exports, &mut Store<Guest>) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<T, OperatorError> {
        self.call_within(self.limits.open_time, function)
    }

    fn call_within<T>(
        &mut self,
        time: Duration,
        function: impl FnOnce(&dyn Exports, &mut Store<Guest>) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<T, OperatorError> {
        // What it said in an earlier call explains nothing.
        self.store.data_mut().take_last_words();
        match function(&*self.exports, &mut self.store) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(refusal)) => Err(OperatorError::Refused(truncated(refusal, MAX_MESSAGE_BYTES))),
            Err(error) => Err(match (fault(&error, time, &self.limits), self.store.data_mut().take_last_words()) {
                (OperatorError::Trap(reason), Some(words)) => {
                    OperatorError::Trap(truncated(format!("{words} ({reason})"), MAX_MESSAGE_BYTES))
                }
                (error, _) => error,
            }),
        }
    }
}

/// Gives the guest this much time from now on.
fn allow(store: &mut Store<Guest>, time: Duration) {
    store.data_mut().until = sluice_clock::now().checked_add(time);
    store.set_epoch_deadline(Ticker::NEXT);
}

/// Runs at each tick of the clock while a guest runs.
fn at_tick(store: StoreContextMut<'_, Guest>) -> wasmtime::Result<UpdateDeadline> {
    let guest = store.data();
    if guest.interrupt.is_raised() {
        return Err(Interrupted.into());
    }
    let over = guest.until.is_some_and(|until| sluice_clock::now() >= until);
    Ok(if over { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(Ticker::NEXT) })
}
