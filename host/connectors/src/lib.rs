//! Connectors: everything that Sluice reads from, asks, and writes to. Each has a folder, and there are six traits.
//!
//! [`Source`] gives records, [`sluice_core::lookup::Lookup`] joins facts, [`Sink`] takes rows,
//! [`TransactionSink`] takes rows with the intervals that made them, [`Writer`] takes records,
//! [`Letterbox`](letters::Letterbox) keeps dead letters.
//! Each trait's documentation states what it promises about order, delivery and blocking; a connector's own documentation
//! states how it keeps it.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests wait, and measure how long"))]

pub mod asking;
pub mod csv;
mod found;
pub mod generator;
pub mod hbase;
pub mod kafka;
pub mod letters;
pub mod log;
pub mod lookup;
pub mod mysql;
pub mod query;
pub mod regular;
pub mod roles;
pub mod sink;
pub mod source;
mod sql;
pub mod sqlite;
pub mod transaction;
pub mod writer;

pub use sink::{Sink, SinkError};
pub use source::{Source, SourceError};
pub use transaction::TransactionSink;
pub use writer::{WriteError, Writer};
