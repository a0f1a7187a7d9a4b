//! Records into columns.
//!
//! ```text
//! record ──find──▶ slots (where each wanted field's value lies) ──convert──▶ column builders
//! ```
//!
//! [`scan`] walks a record once, with a shortcut for flat objects that are alike, and [`path`] goes on into values within values.
//! [`convert`] turns a slot into a value of the column's kind. Fields that nobody asked for are walked over, not decoded.

mod convert;
mod foreign;
mod path;
mod scan;
mod tally;
mod text;

use arrow_array::ArrayRef;

use crate::batch::{Batch, RowOrigins};
use crate::interval::{Offset, Partition};
use crate::records::Records;
use crate::rejected::{RejectedRow, Stage};
use crate::schema::{Field, Kind};
use crate::time;
use convert::{Builder, Unfit};
pub use foreign::Foreign;
use path::Finder;
pub use path::{NoPath, Path};
pub use scan::is_whole_object;
use scan::{ScanError, Slot, Span};
use tally::Tally;
pub use tally::{Lost, Note};

/// The most payload bytes that one batch is decoded from. Smaller: more calls for large records. Larger: columns of text
/// grow towards the 2 GiB that their int32 offsets can address, and memory with them.
pub const MAX_BATCH_BYTES: usize = 16 << 20;

/// The most rows that one record may hold; one with more is a file.
pub const MAX_ROWS_OF_A_RECORD: usize = 10_000;

/// Number of rows from which a batch takes no further record, even if it has fewer records than it may: records can hold many
/// rows.
const MAX_BATCH_ROWS: usize = 65_536;

/// Origin of a source column's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The field of this name in the JSON object that is the row: the record, or what [`JsonOptions::path`] leads to.
    Field(String),
    /// Value at this path from the record's object.
    Path(Path),
    /// The topic's name.
    Topic,
    /// The partition's number.
    Partition,
    /// The record's offset.
    Offset,
    /// Time when the record was made, UTC; null where the source doesn't know.
    Timestamp,
    /// The record's key; null where it has none.
    Key,
}

/// A column that a pipeline's source declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Name and kind in the batch.
    pub field: Field,
    /// Origin of the column's value.
    pub origin: Origin,
}

/// Options for reading records and for records that don't fit. The first two options are those of Flink's JSON format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonOptions {
    /// Leave out records that are no JSON object, and put null where a value can't become its column's kind, instead of
    /// stopping.
    pub ignore_parse_errors: bool,
    /// Stop at a record that lacks a declared field, instead of putting null.
    pub fail_on_missing_field: bool,
    /// Treatment of values that fit only if they are changed.
    pub convert: Convert,
    /// Unit of numbers that are read as times. Without it they are milliseconds, and refused where that isn't clear.
    pub epoch: Option<Epoch>,
    /// Path to the rows in a record: to an object, or to an array of objects. Without it, the record's object is the row.
    pub path: Option<Path>,
    /// Pass over records without a value.
    pub skip_tombstones: bool,
    /// Pass over the header that serializers of Confluent's Schema Registry write before the JSON.
    pub schema_registry: bool,
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

/// Effect of a record at fault on its pipeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AtFault {
    /// The record ends the call, and so the pipeline.
    #[default]
    Stops,
    /// The record is left out and reported.
    IsLeftOut,
}

/// A record that stops the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{topic}, partition {partition}, offset {offset}: {problem}")]
pub struct BadRecord {
    /// Topic of the record.
    pub topic: String,
    /// Partition of the record.
    pub partition: Partition,
    /// Offset of the record.
    pub offset: Offset,
    /// Problem of the record.
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

/// Problem of a record that can't be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The record has no value to decode.
    #[error("the record has no value (a tombstone)")]
    NoValue,
    /// The record isn't valid JSON text: where and why.
    #[error("the record is not valid JSON: {0}")]
    Malformed(String),
    /// The record is in another format than JSON text.
    #[error("the record is not plain JSON: {0}")]
    Foreign(Foreign),
    /// The record is JSON, but not an object.
    #[error("the record is not a JSON object but {0}")]
    NotAnObject(&'static str),
    /// The value where the rows should be is neither an object nor an array of objects.
    #[error("the record has no row at `{path}`: {found} is there")]
    NoRow {
        /// Path at which the rows should be.
        path: String,
        /// Kind of the value that is there.
        found: &'static str,
    },
    /// The record has more rows than allowed.
    #[error("the record has more than {MAX_ROWS_OF_A_RECORD} rows")]
    TooManyRows,
    /// A declared field isn't there and `fail_on_missing_field` is set.
    #[error("field `{0}` is missing")]
    MissingField(String),
    /// A row of the record was refused after decoding.
    #[error("{stage}: {reason}")]
    Rejected {
        /// Stage at which the row was refused.
        stage: Stage,
        /// Reason why the row was refused.
        reason: String,
    },
    /// A field's value can't become its column's kind.
    #[error("field `{field}`: {reason}")]
    Value {
        /// The field's name in the record.
        field: String,
        /// Reason of the refusal.
        reason: String,
    },
}

impl Problem {
    /// Returns the problem in words that don't differ from record to record.
    fn kind(&self) -> String {
        match self {
            Problem::Malformed(_) => "the record is not valid JSON".to_owned(),
            Problem::Foreign(foreign) => format!("the record is not plain JSON: {}", foreign.kind()),
            other => other.to_string(),
        }
    }
}

/// Result of one call.
#[derive(Debug)]
pub struct Decoded {
    /// The rows, with null columns where nobody asked.
    pub batch: Batch,
    /// The first record that is not yet decoded.
    pub next: usize,
    /// Number of records that were left out because of `ignore_parse_errors`, or because they have no row.
    pub ignored: usize,
    /// Reasons for the ignored records and the dropped values, with how often each occurred.
    pub notes: Vec<Note>,
    /// Records that can't be decoded and were left out, since [`AtFault::IsLeftOut`].
    pub rejected: Vec<RejectedRow>,
    /// The record that ended the decoding early, with `next` pointing at it.
    pub stopped: Option<BadRecord>,
}

/// Decodes records of one pipeline. Keeps its buffers between batches.
#[derive(Debug)]
pub struct Decoder {
    options: JsonOptions,
    /// Finds the values of a row, which fill the first slots.
    finder: Finder,
    layout: Layout,
    slots: Vec<Slot>,
    fields: Vec<WantedField>,
    /// The record's own facts that are asked for, with their columns.
    facts: Vec<(Origin, usize)>,
    /// Builders of the declared columns; none for a column that nobody asked for.
    builders: Vec<Option<Builder>>,
    /// Values of the current row that don't fit as they are, with the slot of each.
    unfit: Vec<(usize, Slot, Unfit)>,
    tally: Tally,
}

/// A field that is looked for.
#[derive(Debug)]
struct WantedField {
    name: String,
    slot: usize,
    /// Column of the field's value; none if only the presence of the field is checked.
    column: Option<usize>,
}

/// Position of the rows in a record.
#[derive(Debug)]
enum Layout {
    /// The record's object is the row.
    Record,
    /// The record's object is the row, or each object of its array is one.
    Records,
    /// Rows are at a path within the record's object: the values beside them fill the slots from `first` on.
    Within { envelope: Finder, first: usize, rows: usize, path: String },
}

/// Rows that a record gave.
enum Taken {
    Rows(usize),
    /// No row, although the record has no fault. The text is the reason.
    Nothing(String),
}

impl Decoder {
    /// A decoder for these columns, of which only the `wanted` ones are filled.
    pub fn new(columns: &[SourceColumn], wanted: &[bool], options: JsonOptions) -> Decoder {
        let (mut fields, mut facts, mut builders) = (Vec::new(), Vec::new(), Vec::new());
        // Of the row, and of the record around it.
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        let row_is_record = options.path.as_ref().is_none_or(Path::is_record);
        for (index, column) in columns.iter().enumerate() {
            let asked = wanted.get(index).copied().unwrap_or(false);
            builders.push(asked.then(|| Builder::new(column.field.kind, &options)));
            let path = match &column.origin {
                Origin::Field(name) => Path::field(name),
                Origin::Path(path) => path.clone(),
                fact if asked => {
                    facts.push((fact.clone(), index));
                    continue;
                }
                _ => continue,
            };
            if asked || options.fail_on_missing_field {
                let within = row_is_record || matches!(column.origin, Origin::Field(_));
                let name = path.to_string();
                let paths = if within { &mut inner } else { &mut outer };
                paths.push(path);
                fields.push((name, asked.then_some(index), within, paths.len() - 1));
            }
        }
        let (finder, inner) = Finder::new(&inner);
        let first = finder.slots();
        let (layout, outer) = Layout::new(options.path.as_ref(), outer, first);
        let fields = fields.into_iter().map(|(name, column, within, place)| {
            let slot = if within { inner[place] } else { first + outer[place] };
            WantedField { name, slot, column }
        });
        Decoder {
            fields: fields.collect(),
            slots: vec![Slot::Missing; first + layout.slots()],
            options,
            finder,
            layout,
            facts,
            builders,
            unfit: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Decodes records from `start` on, at most `max_records` and [`MAX_BATCH_BYTES`] of them, up to the first that stops.
    pub fn decode(&mut self, records: &dyn Records, start: usize, max_records: usize) -> Decoded {
        self.decode_as(records, start, max_records, AtFault::Stops)
    }

    /// Does the same as [`Decoder::decode`], with this policy for records at fault.
    pub fn decode_as(
        &mut self,
        records: &dyn Records,
        start: usize,
        max_records: usize,
        bad_record: AtFault,
    ) -> Decoded {
        let mut origins = RowOrigins::from_record(start);
        let (mut next, mut ignored, mut rejected, mut stopped) = (start, 0, Vec::new(), None);
        let mut bytes = 0;
        while next < records.len()
            && next - start < max_records
            && bytes < MAX_BATCH_BYTES
            && origins.rows() < MAX_BATCH_ROWS
        {
            bytes += records.value(next).map_or(0, <[u8]>::len);
            match self.record(records, next) {
                Ok(Taken::Rows(rows)) => (0..rows).for_each(|_| origins.push(next)),
                Ok(Taken::Nothing(reason)) => {
                    ignored += 1;
                    self.tally.add(Lost::Record, format!("passed over: {reason}"), next, String::new);
                }
                Err(problem) if self.options.ignore_parse_errors => {
                    ignored += 1;
                    self.tally.add(Lost::Record, format!("ignored: {}", problem.kind()), next, || problem.to_string());
                }
                Err(problem) if bad_record == AtFault::IsLeftOut => {
                    rejected.push(RejectedRow { record: next, stage: Stage::Decode, reason: problem.to_string() });
                }
                Err(problem) => {
                    let (partition, offset) = records.position(next);
                    stopped = Some(BadRecord { topic: records.topic().to_owned(), partition, offset, problem });
                    break;
                }
            }
            next += 1;
        }
        let columns: Vec<Option<ArrayRef>> =
            self.builders.iter_mut().map(|builder| builder.as_mut().map(Builder::finish)).collect();
        let batch = Batch { rows: origins.rows(), columns, origins };
        Decoded { batch, next, ignored, notes: self.tally.take(), rejected, stopped }
    }

    /// Appends the rows of a record, or nothing at all.
    #[inline]
    fn record(&mut self, records: &dyn Records, index: usize) -> Result<Taken, Problem> {
        let json = match records.value(index) {
            Some(json) => foreign::without_header(json, self.options.schema_registry),
            None if self.options.skip_tombstones => return Ok(Taken::Nothing(Problem::NoValue.to_string())),
            None => return Err(Problem::NoValue),
        };
        if !matches!(self.layout, Layout::Record) {
            return self.rows(json, records, index);
        }
        self.stage(json, json, 0)?;
        self.check_key(records, index)?;
        self.check_time(records, index)?;
        self.append(json, records, index);
        Ok(Taken::Rows(1))
    }

    fn rows(&mut self, json: &[u8], records: &dyn Records, index: usize) -> Result<Taken, Problem> {
        let (rows, path) = match &mut self.layout {
            Layout::Record | Layout::Records => (scan::value(json).map_err(|error| problem(json, error))?, "."),
            Layout::Within { envelope, first, rows, path } => {
                let slots = &mut self.slots[*first..];
                slots.fill(Slot::Missing);
                envelope.find(json, 0, slots).map_err(|error| problem(json, error))?;
                (slots[*rows], path.as_str())
            }
        };
        let no_row = |found| Problem::NoRow { path: path.to_owned(), found };
        let is_object = |span: &Span| span.of(json).first() == Some(&b'{');
        let object = |slot: &Slot| match slot {
            Slot::Nested(span) if is_object(span) => Ok(*span),
            other => Err(no_row(other.what())),
        };
        let spans = match rows {
            Slot::Null => return Ok(Taken::Nothing(no_row("null").to_string())),
            Slot::Nested(span) if !is_object(&span) => scan::elements(json, span, MAX_ROWS_OF_A_RECORD + 1)
                .iter()
                .map(object)
                .collect::<Result<Vec<_>, _>>()?,
            other => vec![object(&other)?],
        };
        if spans.is_empty() {
            return Ok(Taken::Nothing(no_row("an empty array").to_string()));
        }
        if spans.len() > MAX_ROWS_OF_A_RECORD {
            return Err(Problem::TooManyRows);
        }
        self.check_key(records, index)?;
        self.check_time(records, index)?;
        // All or none: the last may be the one that doesn't fit.
        for span in &spans {
            self.stage(json, span.and_before(json), span.start())?;
        }
        for span in &spans {
            self.stage(json, span.and_before(json), span.start())?;
            self.append(json, records, index);
        }
        Ok(Taken::Rows(spans.len()))
    }

    /// Finds and converts every wanted value of the row that begins at `from` of the record and ends where `row` does, so that a bad
    /// one is found before any column has grown.
    #[inline]
    fn stage(&mut self, json: &[u8], row: &[u8], from: usize) -> Result<(), Problem> {
        let slots = &mut self.slots[..self.finder.slots()];
        slots.fill(Slot::Missing);
        self.finder.find(row, from, slots).map_err(|error| problem(json, error))?;
        self.unfit.clear();
        for (at, field) in self.fields.iter().enumerate() {
            let slot = &mut self.slots[field.slot];
            if matches!(slot, Slot::Missing) && self.options.fail_on_missing_field {
                return Err(Problem::MissingField(field.name.clone()));
            }
            let Some(builder) = field.column.and_then(|column| self.builders[column].as_mut()) else {
                continue;
            };
            let Err(unfit) = builder.stage(json, slot) else { continue };
            if unfit != Unfit::HalfPair && !self.options.ignore_parse_errors {
                let reason = builder.message(json, slot, unfit);
                return Err(Problem::Value { field: field.name.clone(), reason });
            }
            self.unfit.push((at, *slot, unfit));
            if unfit != Unfit::HalfPair {
                *slot = Slot::Null;
            }
        }
        Ok(())
    }

    /// Appends the row that is staged.
    #[inline]
    fn append(&mut self, json: &[u8], records: &dyn Records, index: usize) {
        if !self.unfit.is_empty() {
            self.count_unfit(json, index);
        }
        for field in &self.fields {
            if let Some(builder) = field.column.and_then(|column| self.builders[column].as_mut()) {
                builder.append_checked(json, &self.slots[field.slot]);
            }
        }
        for (fact, column) in &self.facts {
            if let Some(builder) = &mut self.builders[*column] {
                append_fact(builder, fact, records, index);
            }
        }
    }

    #[cold]
    fn count_unfit(&mut self, json: &[u8], record: usize) {
        for (at, slot, unfit) in self.unfit.drain(..) {
            let WantedField { name, column, .. } = &self.fields[at];
            if let Some(builder) = column.and_then(|column| self.builders[column].as_ref()) {
                let reason = format!("field `{name}`: {}", builder.reason(&slot, unfit));
                self.tally.add(Lost::Value, reason, record, || builder.message(json, &slot, unfit));
            }
        }
    }
}

/// Returns the problem of bytes that aren't a row.
#[cold]
fn problem(json: &[u8], error: ScanError) -> Problem {
    match error {
        ScanError::NotAnObject(found) => Problem::NotAnObject(found),
        ScanError::Malformed(why) => Foreign::of(json).map_or(Problem::Malformed(why), Problem::Foreign),
    }
}

impl Layout {
    /// Makes the layout of records with rows at `path`; `beside` are the paths of values outside the rows. Also returns the slot
    /// of each of these values.
    fn new(path: Option<&Path>, mut beside: Vec<Path>, first: usize) -> (Layout, Vec<usize>) {
        match path {
            None => (Layout::Record, Vec::new()),
            Some(path) if path.is_record() => (Layout::Records, Vec::new()),
            Some(path) => {
                beside.push(path.clone());
                let (envelope, mut places) = Finder::new(&beside);
                let rows = places.pop().unwrap_or_default();
                (Layout::Within { envelope, first, rows, path: path.to_string() }, places)
            }
        }
    }

    fn slots(&self) -> usize {
        match self {
            Layout::Record | Layout::Records => 0,
            Layout::Within { envelope, .. } => envelope.slots(),
        }
    }
}

impl Decoder {
    /// Checks the record's key. A key can be any bytes; a column of text accepts it only if it is text.
    fn check_key(&mut self, records: &dyn Records, index: usize) -> Result<(), Problem> {
        let as_text = |(origin, column): &(Origin, usize)| {
            *origin == Origin::Key && self.builders[*column].as_ref().is_some_and(Builder::is_text)
        };
        let unfit =
            self.facts.iter().any(as_text) && records.key(index).is_some_and(|key| std::str::from_utf8(key).is_err());
        if !unfit {
            return Ok(());
        }
        let reason = "the key is not UTF-8 text; declare the column as `binary`".to_owned();
        if self.options.ignore_parse_errors {
            self.tally.add(Lost::Value, format!("field `_key`: {reason}"), index, String::new);
            return Ok(());
        }
        Err(Problem::Value { field: "_key".to_owned(), reason })
    }
}

impl Decoder {
    /// Checks the record's time. A broker accepts any number as a time; a column only those of the calendar.
    fn check_time(&mut self, records: &dyn Records, index: usize) -> Result<(), Problem> {
        let asked = self.facts.iter().any(|(origin, _)| *origin == Origin::Timestamp);
        let Some(micros) = records.timestamp(index).filter(|micros| asked && !time::in_calendar(*micros)) else {
            return Ok(());
        };
        let reason = format!("the record's time, {micros} microseconds since 1970, isn't in the years 0 to 9999");
        if self.options.ignore_parse_errors {
            let kind = "field `_timestamp`: a time that isn't in the years 0 to 9999";
            self.tally.add(Lost::Value, kind.to_owned(), index, || reason);
            return Ok(());
        }
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
        Origin::Key | Origin::Field(_) | Origin::Path(_) => builder.append_text(records.key(index)),
    }
}

/// The kinds that a record's fact can have.
pub fn fact_kinds(origin: &Origin) -> &'static [Kind] {
    match origin {
        Origin::Field(_) | Origin::Path(_) => &Kind::ALL,
        Origin::Topic => &[Kind::Utf8],
        Origin::Partition | Origin::Offset => &[Kind::Int64],
        Origin::Timestamp => &[Kind::Timestamp],
        Origin::Key => &[Kind::Utf8, Kind::Binary],
    }
}

#[cfg(test)]
mod tests;
