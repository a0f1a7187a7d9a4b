//! The host's log: the one thing that an operator may do besides answering. Natively, in tests, it is standard error.
//!
//! For what a person should see once: a batch has thousands of rows.

use crate::contract::log::Level;

/// For whoever looks for a fault in the operator.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// What is worth knowing when all is well.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// What may need a person's eye.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// What needs a person. To refuse a row or a batch, return an error instead.
pub fn error(message: &str) {
    write(Level::Error, message);
}

fn write(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::contract::log::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}
