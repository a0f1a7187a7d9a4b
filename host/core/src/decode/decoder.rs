//! The decoder: what all formats have in common.

use arrow_array::ArrayRef;

use super::columns::{Columns, WantedField};
use super::convert::Builder;
use super::facts::Facts;
use super::format::{Format, Rows};
use super::options::DecodeOptions;
use super::origin::{Origin, SourceColumn};
use super::problem::{BadRecord, Problem};
use super::slot::{Slot, Span};
use super::tally::{Lost, Note, Tally};
use super::{MAX_BATCH_BYTES, MAX_BATCH_ROWS, MAX_ROWS_OF_A_RECORD};
use crate::batch::{Batch, RowOrigins};
use crate::records::Records;
use crate::rejected::{RejectedRow, Stage};

/// Effect of a record at fault on its pipeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AtFault {
    /// The record ends the call, and so the pipeline.
    #[default]
    Stops,
    /// The record is left out and reported.
    IsLeftOut,
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
    format: Box<dyn Format>,
    slots: Vec<Slot>,
    columns: Columns,
    facts: Facts,
    /// Number of columns that the source declares.
    width: usize,
    ignore_parse_errors: bool,
    skip_tombstones: bool,
    tally: Tally,
}

/// Rows that a record gave.
enum Taken {
    Rows(usize),
    /// No row, although the record has no fault. The text is the reason.
    Nothing(String),
}

impl Decoder {
    /// A decoder for these columns, of which only the `wanted` ones are filled.
    pub fn new(columns: &[SourceColumn], wanted: &[bool], options: DecodeOptions) -> Decoder {
        let (mut fields, mut origins, mut facts) = (Vec::new(), Vec::new(), Facts::default());
        for (index, SourceColumn { field, origin }) in columns.iter().enumerate() {
            let asked = wanted.get(index).copied().unwrap_or(false);
            let builder = asked.then(|| Builder::new(field.kind, &options));
            match builder {
                Some(builder) if origin.is_fact() => facts.add(origin.clone(), index, builder),
                builder if !origin.is_fact() && (asked || options.fail_on_missing_field) => {
                    let name = match origin {
                        Origin::Within(path) | Origin::Path(path) => path.to_string(),
                        Origin::Field(name) => name.clone(),
                        _ => String::new(),
                    };
                    fields.push(WantedField { name, slot: 0, column: index, builder });
                    origins.push(origin);
                }
                _ => {}
            }
        }
        let (format, places) = options.format.open(&origins);
        fields.iter_mut().zip(places).for_each(|(field, slot)| field.slot = slot);
        Decoder {
            slots: vec![Slot::Missing; format.slots()],
            format,
            columns: Columns::new(fields, &options),
            facts,
            width: columns.len(),
            ignore_parse_errors: options.ignore_parse_errors,
            skip_tombstones: options.skip_tombstones,
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
            let record = records.value(next);
            bytes += record.map_or(0, <[u8]>::len);
            match self.take(record, records, next) {
                Ok(Taken::Rows(rows)) => (0..rows).for_each(|_| origins.push(next)),
                Ok(Taken::Nothing(reason)) => {
                    ignored += 1;
                    self.tally.add(Lost::Record, format!("passed over: {reason}"), next, String::new);
                }
                Err(problem) if self.ignore_parse_errors => {
                    ignored += 1;
                    self.tally.add(Lost::Record, format!("ignored: {}", problem.kind()), next, || problem.to_string());
                }
                Err(problem) if bad_record == AtFault::IsLeftOut => {
                    rejected.push(RejectedRow { record: next, stage: Stage::Decode, reason: problem.to_string() });
                }
                Err(problem) => {
                    stopped = Some(BadRecord::new(records, next, problem));
                    break;
                }
            }
            next += 1;
        }
        let batch = Batch { rows: origins.rows(), columns: self.finish(), origins };
        Decoded { batch, next, ignored, notes: self.tally.take(), rejected, stopped }
    }

    fn finish(&mut self) -> Vec<Option<ArrayRef>> {
        let mut columns = vec![None; self.width];
        self.columns.finish(&mut columns);
        self.facts.finish(&mut columns);
        columns
    }

    /// Appends the rows of a record, or nothing at all.
    #[inline]
    fn take(&mut self, record: Option<&[u8]>, records: &dyn Records, index: usize) -> Result<Taken, Problem> {
        let Some(record) = record else {
            let nothing = Problem::NoValue;
            return if self.skip_tombstones { Ok(Taken::Nothing(nothing.to_string())) } else { Err(nothing) };
        };
        match self.format.find(record, &mut self.slots)? {
            Rows::One => {
                self.columns.stage(record, &self.slots)?;
                self.check_facts(records, index)?;
                self.append(record, records, index);
                Ok(Taken::Rows(1))
            }
            Rows::Many(rows) => self.take_many(record, &rows, records, index),
            Rows::None(reason) => Ok(Taken::Nothing(reason)),
        }
    }

    /// Appends all these rows of a record or none: the last may be the one that doesn't fit.
    fn take_many(
        &mut self,
        record: &[u8],
        rows: &[Span],
        records: &dyn Records,
        index: usize,
    ) -> Result<Taken, Problem> {
        if rows.len() > MAX_ROWS_OF_A_RECORD {
            return Err(Problem::TooManyRows);
        }
        for row in rows {
            self.format.row(record, *row, &mut self.slots)?;
            self.columns.stage(record, &self.slots)?;
        }
        self.check_facts(records, index)?;
        for row in rows {
            self.format.row(record, *row, &mut self.slots)?;
            self.columns.stage(record, &self.slots)?;
            self.append(record, records, index);
        }
        Ok(Taken::Rows(rows.len()))
    }

    #[inline]
    fn check_facts(&mut self, records: &dyn Records, index: usize) -> Result<(), Problem> {
        self.facts.check(records, index, self.ignore_parse_errors.then_some(&mut self.tally))
    }

    /// Appends the row that is staged.
    #[inline]
    fn append(&mut self, record: &[u8], records: &dyn Records, index: usize) {
        self.columns.append(record, &self.slots, index, &mut self.tally);
        self.facts.append(records, index);
    }
}
