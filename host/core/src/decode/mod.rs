//! Records into columns.
//!
//! ```text
//! record ──scan──▶ slots (where each wanted field's value lies) ──convert──▶ column builders
//! ```
//!
//! [`scan`] walks a record once and notes where the wanted values are: a strict scanner for flat objects, and
//! `serde_json` for everything that it finds unusual, so that only `serde_json` ever decides that a record is malformed.
//! [`convert`] turns a slot into a value of the column's kind. Fields that nobody asked for are walked over, not decoded.

mod convert;
mod scan;

use arrow_array::ArrayRef;

use crate::batch::{Batch, RowOrigins};
use crate::interval::{Offset, Partition};
use crate::records::Records;
use crate::rejected::{RejectedRow, Stage};
use crate::schema::{Field, Kind};
use crate::time;
use convert::{Builder, ValueError};
use scan::{Scanner, Slot};

/// The most payload bytes that one batch is decoded from. Smaller: more calls for large records. Larger: columns of text
/// grow towards the 2 GiB that their int32 offsets can address, and memory with them.
pub const MAX_BATCH_BYTES: usize = 16 << 20;

/// Where a source column's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The top-level field of this name in the record's JSON object.
    Field(String),
    /// The topic's name.
    Topic,
    /// The partition's number.
    Partition,
    /// The record's offset.
    Offset,
    /// When the record was made, UTC; null where the source doesn't know.
    Timestamp,
    /// The record's key; null where it has none.
    Key,
}

/// A column that a pipeline's source declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Name and kind in the batch.
    pub field: Field,
    /// What fills it.
    pub origin: Origin,
}

/// What becomes of records that don't fit; the options are Flink's JSON format's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonOptions {
    /// Leave out records that are no JSON object, and put null where a value can't become its column's kind, instead of
    /// stopping.
    pub ignore_parse_errors: bool,
    /// Stop at a record that lacks a declared field, instead of putting null.
    pub fail_on_missing_field: bool,
}

/// What a record at fault does to its pipeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AtFault {
    /// It ends the call, and so the pipeline.
    #[default]
    Stops,
    /// It is left out, and is said to be.
    IsLeftOut,
}

/// A record that stops the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{topic}, partition {partition}, offset {offset}: {problem}")]
pub struct BadRecord {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// What is wrong with it.
    pub problem: Problem,
}

impl BadRecord {
    /// A record that stops the pipeline after it was decoded.
    pub fn rejected(records: &dyn Records, row: RejectedRow) -> BadRecord {
        let (partition, offset) = records.position(row.record);
        let problem = Problem::Rejected { stage: row.stage, reason: row.reason };
        BadRecord { topic: records.topic().to_owned(), partition, offset, problem }
    }
}

/// What can be wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is nothing to decode.
    #[error("the record has no value (a tombstone)")]
    NoValue,
    /// It isn't JSON text; `serde_json` says where and why.
    #[error("the record is not valid JSON: {0}")]
    Malformed(String),
    /// It is JSON, but no object.
    #[error("the record is not a JSON object but {0}")]
    NotAnObject(&'static str),
    /// A declared field isn't there and `fail_on_missing_field` is set.
    #[error("field `{0}` is missing")]
    MissingField(String),
    /// A row of it is refused after decoding.
    #[error("{stage}: {reason}")]
    Rejected {
        /// Where.
        stage: Stage,
        /// Why.
        reason: String,
    },
    /// A field's value can't become its column's kind.
    #[error("field `{field}`: {reason}")]
    Value {
        /// The field's name in the record.
        field: String,
        /// What was found and what was wanted.
        reason: String,
    },
}

/// What came of one call.
#[derive(Debug)]
pub struct Decoded {
    /// The rows, with null columns where nobody asked.
    pub batch: Batch,
    /// The first record that is not yet decoded.
    pub next: usize,
    /// Records that were left out because of `ignore_parse_errors`.
    pub ignored: usize,
    /// Records that can't be decoded and were left out, since [`AtFault::IsLeftOut`].
    pub rejected: Vec<RejectedRow>,
    /// The record that ended the decoding early, with `next` pointing at it.
    pub stopped: Option<BadRecord>,
}

/// Decodes records of one pipeline. Keeps its buffers between batches.
#[derive(Debug)]
pub struct Decoder {
    options: JsonOptions,
    bad_record: AtFault,
    scanner: Scanner,
    slots: Vec<Slot>,
    /// For each scanned field, its column (none where only its presence is checked).
    field_columns: Vec<Option<usize>>,
    /// The record's own facts that are asked for, with their columns.
    facts: Vec<(Origin, usize)>,
    /// For each declared column, its builder if it is asked for.
    builders: Vec<Option<Builder>>,
}

impl Decoder {
    /// A decoder for these columns, of which only the `wanted` ones are filled.
    pub fn new(columns: &[SourceColumn], wanted: &[bool], options: JsonOptions) -> Decoder {
        let mut names = Vec::new();
        let mut field_columns = Vec::new();
        let mut facts = Vec::new();
        let mut builders = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            let asked = wanted.get(index).copied().unwrap_or(false);
            builders.push(asked.then(|| Builder::new(column.field.kind)));
            match &column.origin {
                Origin::Field(name) if asked || options.fail_on_missing_field => {
                    names.push(name.clone());
                    field_columns.push(asked.then_some(index));
                }
                Origin::Field(_) => {}
                fact if asked => facts.push((fact.clone(), index)),
                _ => {}
            }
        }
        let slots = vec![Slot::Missing; names.len()];
        let bad_record = AtFault::default();
        Decoder { options, bad_record, scanner: Scanner::new(names), slots, field_columns, facts, builders }
    }

    /// From now on, a record that can't be decoded does this; without a call it stops.
    pub fn when_bad(&mut self, record: AtFault) {
        self.bad_record = record;
    }

    /// What a record that can't be decoded does.
    pub fn bad_record(&self) -> AtFault {
        self.bad_record
    }

    /// Decodes records from `start` on, at most `max_rows` and [`MAX_BATCH_BYTES`] of them, up to the first that stops.
    pub fn decode(&mut self, records: &dyn Records, start: usize, max_rows: usize) -> Decoded {
        let mut origins = RowOrigins::from_record(start);
        let mut decoded =
            Decoded { batch: Batch::empty(), next: start, ignored: 0, rejected: Vec::new(), stopped: None };
        let mut bytes = 0;
        while decoded.next < records.len() && decoded.next - start < max_rows && bytes < MAX_BATCH_BYTES {
            bytes += records.value(decoded.next).map_or(0, <[u8]>::len);
            match self.record(records, decoded.next) {
                Ok(()) => origins.push(decoded.next),
                Err(_) if self.options.ignore_parse_errors => decoded.ignored += 1,
                Err(problem) if self.bad_record == AtFault::IsLeftOut => {
                    let (stage, reason) = (Stage::Decode, problem.to_string());
                    decoded.rejected.push(RejectedRow { record: decoded.next, stage, reason });
                }
                Err(problem) => {
                    let (partition, offset) = records.position(decoded.next);
                    let topic = records.topic().to_owned();
                    decoded.stopped = Some(BadRecord { topic, partition, offset, problem });
                    break;
                }
            }
            decoded.next += 1;
        }
        let rows = origins.rows();
        let columns: Vec<Option<ArrayRef>> =
            self.builders.iter_mut().map(|builder| builder.as_mut().map(Builder::finish)).collect();
        decoded.batch = Batch { rows, columns, origins };
        decoded
    }

    /// Appends one row, or nothing at all.
    fn record(&mut self, records: &dyn Records, index: usize) -> Result<(), Problem> {
        let json = records.value(index).ok_or(Problem::NoValue)?;
        self.slots.fill(Slot::Missing);
        self.scanner.scan(json, &mut self.slots)?;
        self.check(json)?;
        self.check_key(records, index)?;
        self.check_time(records, index)?;
        for (slot, column) in self.slots.iter().zip(&self.field_columns) {
            if let Some(builder) = column.and_then(|column| self.builders[column].as_mut()) {
                builder.append_checked(json, slot);
            }
        }
        for (fact, column) in &self.facts {
            if let Some(builder) = &mut self.builders[*column] {
                append_fact(builder, fact, records, index);
            }
        }
        Ok(())
    }

    /// Stages every wanted value, so that a bad one is found before any column has grown.
    fn check(&mut self, json: &[u8]) -> Result<(), Problem> {
        for (i, (slot, column)) in self.slots.iter_mut().zip(&self.field_columns).enumerate() {
            if matches!(slot, Slot::Missing) && self.options.fail_on_missing_field {
                return Err(Problem::MissingField(self.scanner.name(i).to_owned()));
            }
            let Some(builder) = column.and_then(|column| self.builders[column].as_mut()) else {
                continue;
            };
            match builder.stage(json, slot) {
                Ok(()) => {}
                Err(_) if self.options.ignore_parse_errors => *slot = Slot::Null,
                Err(ValueError(reason)) => {
                    return Err(Problem::Value { field: self.scanner.name(i).to_owned(), reason });
                }
            }
        }
        Ok(())
    }
}

impl Decoder {
    /// A key is any bytes; a column of text takes it only if it is text.
    fn check_key(&self, records: &dyn Records, index: usize) -> Result<(), Problem> {
        let as_text = |(origin, column): &(Origin, usize)| {
            *origin == Origin::Key && self.builders[*column].as_ref().is_some_and(Builder::is_text)
        };
        let unfit =
            self.facts.iter().any(as_text) && records.key(index).is_some_and(|key| std::str::from_utf8(key).is_err());
        if !unfit || self.options.ignore_parse_errors {
            return Ok(());
        }
        let reason = "the key is not UTF-8 text; declare the column as `binary`".to_owned();
        Err(Problem::Value { field: "_key".to_owned(), reason })
    }
}

impl Decoder {
    /// A broker takes any number for a time; a column has those of the calendar.
    fn check_time(&self, records: &dyn Records, index: usize) -> Result<(), Problem> {
        let asked = self.facts.iter().any(|(origin, _)| *origin == Origin::Timestamp);
        let Some(micros) = records.timestamp(index).filter(|micros| asked && !time::in_calendar(*micros)) else {
            return Ok(());
        };
        if self.options.ignore_parse_errors {
            return Ok(());
        }
        let reason = format!("the record's time, {micros} microseconds since 1970, isn't in the years 0 to 9999");
        Err(Problem::Value { field: "_timestamp".to_owned(), reason })
    }
}

fn append_fact(builder: &mut Builder, fact: &Origin, records: &dyn Records, index: usize) {
    let (partition, offset) = records.position(index);
    match fact {
        Origin::Topic => builder.append_text(Some(records.topic().as_bytes())),
        Origin::Partition => builder.append_number(Some(i64::from(partition.0))),
        Origin::Offset => builder.append_number(Some(offset.0)),
        Origin::Timestamp => {
            builder.append_number(records.timestamp(index).filter(|micros| time::in_calendar(*micros)));
        }
        Origin::Key | Origin::Field(_) => builder.append_text(records.key(index)),
    }
}

/// The kinds that a record's fact can have.
pub fn fact_kinds(origin: &Origin) -> &'static [Kind] {
    match origin {
        Origin::Field(_) => &Kind::ALL,
        Origin::Topic => &[Kind::Utf8],
        Origin::Partition | Origin::Offset => &[Kind::Int64],
        Origin::Timestamp => &[Kind::Timestamp],
        Origin::Key => &[Kind::Utf8, Kind::Binary],
    }
}

#[cfg(test)]
mod tests;
