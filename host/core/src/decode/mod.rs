//! Records into columns.
//!
//! ```text
//! record ──Format::find──▶ slots (where each wanted value lies) ──convert──▶ column builders
//! ```
//!
//! A [`format`] knows where the values of a record are: [`json`] is one, [`csv`] another. The [`decoder`] has what is common to all:
//! it fills columns of fields and of the record's own facts, leaves out or reports records at fault, counts what is dropped, and
//! keeps the bounds of a batch. A format is a file here, an arm in [`options`] and its keys in the source's configuration.

mod columns;
mod convert;
mod csv;
mod decoder;
mod facts;
mod format;
mod json;
mod options;
mod origin;
mod path;
mod problem;
mod slot;
mod tally;
mod text;

pub use csv::CsvOptions;
pub use decoder::{AtFault, Decoded, Decoder};
pub use json::{JsonOptions, is_whole_object};
pub use options::{Convert, DecodeOptions, Epoch, FormatOptions};
pub use origin::{Origin, SourceColumn};
pub use path::{NoPath, Path};
pub use problem::{BadRecord, Problem};
pub use tally::{Lost, Note};

/// The most payload bytes that one batch is decoded from. Smaller: more calls for large records. Larger: columns of text
/// grow towards the 2 GiB that their int32 offsets can address, and memory with them.
pub const MAX_BATCH_BYTES: usize = 16 << 20;

/// The most rows that one record may hold; one with more is a file.
pub const MAX_ROWS_OF_A_RECORD: usize = 10_000;

/// Number of rows from which a batch takes no further record, even if it has fewer records than it may: records can hold many
/// rows.
const MAX_BATCH_ROWS: usize = 65_536;

#[cfg(test)]
mod tests;
