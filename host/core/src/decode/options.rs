//! Options of a source for reading its records.

use super::csv::{Csv, CsvOptions};
use super::format::Format;
use super::json::{Json, JsonOptions};
use super::origin::Origin;

/// Options for reading records and for records that don't fit. The first two are those of Flink's formats.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Leave out records that aren't what their format wants, and put null where a value can't become its column's kind, instead
    /// of stopping.
    pub ignore_parse_errors: bool,
    /// Stop at a record that lacks a declared field, instead of putting null.
    pub fail_on_missing_field: bool,
    /// Treatment of values that fit only if they are changed.
    pub convert: Convert,
    /// Unit of numbers that are read as times. Without it they are milliseconds, and refused where that isn't clear.
    pub epoch: Option<Epoch>,
    /// Pass over records without a value.
    pub skip_tombstones: bool,
    /// Format of the records.
    pub format: FormatOptions,
}

/// Treatment of a value that fits its column's kind only if it is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Convert {
    /// The value is refused.
    #[default]
    Exact,
    /// The value is changed as Flink does it: 5.5 becomes the int64 5, and any text but `true` becomes false.
    Flink,
}

/// Unit of a time that is given as a number since 1970-01-01T00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Epoch {
    /// Seconds.
    Seconds,
    /// Thousandths of a second.
    Milliseconds,
    /// Millionths of a second.
    Microseconds,
    /// Billionths of a second.
    Nanoseconds,
}

/// The formats of records, each with its own options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormatOptions {
    /// A JSON object, or values within one.
    Json(JsonOptions),
    /// A line whose fields are known by their places.
    Csv(CsvOptions),
}

impl Default for FormatOptions {
    fn default() -> FormatOptions {
        FormatOptions::Json(JsonOptions::default())
    }
}

impl FormatOptions {
    /// Returns the table of a source's configuration that has the format's options, for messages.
    pub fn name(&self) -> &'static str {
        match self {
            FormatOptions::Json(_) => "json",
            FormatOptions::Csv(_) => "csv",
        }
    }

    /// Opens the format for the values that are wanted; answers also the slot of each.
    pub(super) fn open(&self, wanted: &[&Origin]) -> (Box<dyn Format>, Vec<usize>) {
        match self {
            FormatOptions::Json(options) => {
                let (format, slots) = Json::new(options, wanted);
                (Box::new(format), slots)
            }
            FormatOptions::Csv(options) => {
                let (format, slots) = Csv::new(options, wanted);
                (Box::new(format), slots)
            }
        }
    }
}
