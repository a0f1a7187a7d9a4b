//! Everything that Sluice reads from, asks, and writes to: one folder each, behind three traits.
//!
//! [`Source`] gives records, [`sluice_core::lookup::Lookup`] joins facts, [`Sink`] takes rows. Each trait's documentation
//! states what it promises about order, delivery and blocking; a connector's own documentation states how it keeps it.

pub mod sink;
pub mod source;

pub use sink::{Sink, SinkError};
pub use source::{Source, SourceError};
