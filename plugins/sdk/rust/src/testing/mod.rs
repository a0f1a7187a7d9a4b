//! Run a metric natively, as the host would: typed rows in, rows and rejections out.
//!
//! Rows are written to the contract's buffers and read from them, and pass through the very loops that run in the host;
//! only WebAssembly itself is left out. So `cargo test` is enough to know what a metric does.

mod buffers;
mod laws;
mod table;
mod trial;

pub use table::{Cell, Null, Sample, Table, Value};
pub use trial::{Outcome, Trial};

pub use crate::table;
