//! Faults are what wasmtime says of a call that failed, as the contract's errors.

use std::time::Duration;

use sluice_core::operator::OperatorError;
use wasmtime::{Trap, WasmBacktrace};

use crate::limits::{Exceeded, Limits, MAX_MESSAGE_BYTES, truncated};

/// The functions that a trap's sentence names, innermost first. They say what was being done; the rest is callers.
const NAMED_FRAMES: usize = 3;

/// The functions that a panic in Rust runs between the one that panicked and the trap: true of every panic, and so of no use.
const PANIC_MACHINERY: [&str; 6] =
    ["__rustc::", "core::panicking::", "std::panicking::", "std::sys::backtrace::", "alloc::alloc::", "std::alloc::"];

/// The call was ended, as the pipeline is to end.
#[derive(Debug, thiserror::Error)]
#[error("the call was ended early, as the pipeline ends")]
pub(crate) struct Interrupted;

/// `time` is the limit that the call ran under.
pub(crate) fn fault(error: &wasmtime::Error, time: Duration, limits: &Limits) -> OperatorError {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return match exceeded {
            Exceeded::Together { .. } => OperatorError::NoRoom(exceeded.to_string()),
            _ => OperatorError::Limit(exceeded.to_string()),
        };
    }
    if error.is::<Interrupted>() {
        return OperatorError::Interrupted;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => OperatorError::Limit(format!(
            "it ran for more than {time:?} and was stopped{}: do less in a call, or raise its time limit",
            frames(error)
        )),
        Some(trap) => OperatorError::Trap(truncated(trapped(*trap, error), MAX_MESSAGE_BYTES)),
        None if is_out_of_fuel(error) => OperatorError::Limit(format!(
            "it handed more than {} bytes to the host in one call: answer less, or raise its output limit",
            limits.output_bytes
        )),
        None => OperatorError::Contract(truncated(format!("{}", error.root_cause()), MAX_MESSAGE_BYTES)),
    }
}

fn trapped(trap: Trap, error: &wasmtime::Error) -> String {
    let trap = trap.to_string();
    format!("{}{}", trap.strip_prefix("wasm trap: ").unwrap_or(&trap), frames(error))
}

/// Returns true if the call ran out of fuel. wasmtime keeps this error's type to itself.
fn is_out_of_fuel(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls")
}

/// The functions where it was, if the component still has their names.
fn frames(error: &wasmtime::Error) -> String {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    let names = backtrace.frames().iter().filter_map(|frame| frame.func_name());
    let names = names.map(|name| format!("{:#}", rustc_demangle::demangle(name)));
    let own = names.filter(|name| !PANIC_MACHINERY.iter().any(|machinery| name.starts_with(machinery)));
    let names: Vec<_> = own.take(NAMED_FRAMES).map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!(", in {}", names.join(" called by ")) }
}
