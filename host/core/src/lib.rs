//! The pure part of Sluice: records into columns, grouping, states, intervals.
//!
//! ```text
//! Records ──decode──▶ Batch ──Chain (transforms, lookups)──▶ Batch ──Fold (grouping, states)──▶ dirty groups
//! ```
//!
//! Nothing here does I/O, reads a clock or knows a thread: functions take values and return values, and what runs
//! outside (a WebAssembly instance, a lookup's server) is behind the traits [`operator::Operator`] and
//! [`lookup::Lookup`].

pub mod batch;
pub mod chain;
pub mod checkpoint;
pub mod column;
pub mod constraint;
pub mod dead_letter;
pub mod decimal;
pub mod decode;
pub mod deploy;
pub mod disabled;
pub mod encode;
pub mod fold;
pub mod identity;
pub mod interval;
pub mod kept;
pub mod lookup;
mod number;
pub mod operator;
pub mod port;
pub mod printable;
pub mod records;
pub mod rejected;
pub mod row;
pub mod rows;
pub mod run;
pub mod schema;
pub mod share;
#[cfg(test)]
mod testing;
pub mod time;
pub mod window;

pub use decimal::Decimal;
pub use interval::{Interval, Offset, Partition};
pub use printable::{printable, printable_json};
pub use schema::{Field, Kind};
