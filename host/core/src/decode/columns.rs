//! Columns of the fields that a source declares: values are checked before any column grows.

use arrow_array::ArrayRef;

use super::convert::{Builder, Unfit};
use super::options::DecodeOptions;
use super::problem::Problem;
use super::slot::Slot;
use super::tally::{Lost, Tally};

/// Columns of fields.
#[derive(Debug)]
pub(super) struct Columns {
    fields: Vec<WantedField>,
    /// Fields of the row in hand whose values don't fit as they are.
    unfit: Vec<(usize, Unfit)>,
    ignore_parse_errors: bool,
    fail_on_missing_field: bool,
}

/// A field that is looked for.
#[derive(Debug)]
pub(super) struct WantedField {
    /// The field's name or path in the record, for messages.
    pub(super) name: String,
    /// Slot of its value.
    pub(super) slot: usize,
    /// Column of the batch.
    pub(super) column: usize,
    /// Builder of the column; none if only the presence of the field is checked.
    pub(super) builder: Option<Builder>,
}

impl Columns {
    pub(super) fn new(fields: Vec<WantedField>, options: &DecodeOptions) -> Columns {
        let DecodeOptions { ignore_parse_errors, fail_on_missing_field, .. } = *options;
        Columns { fields, unfit: Vec::new(), ignore_parse_errors, fail_on_missing_field }
    }

    /// Converts every wanted value of a row, so that a bad one is found before any column has grown.
    #[inline]
    pub(super) fn stage(&mut self, record: &[u8], slots: &[Slot]) -> Result<(), Problem> {
        self.unfit.clear();
        for (at, field) in self.fields.iter_mut().enumerate() {
            let slot = &slots[field.slot];
            if matches!(slot, Slot::Missing) && self.fail_on_missing_field {
                return Err(Problem::MissingField(field.name.clone()));
            }
            let Some(builder) = &mut field.builder else { continue };
            let Err(unfit) = builder.stage(record, slot) else { continue };
            if unfit != Unfit::HalfPair && !self.ignore_parse_errors {
                let reason = builder.message(record, slot, unfit);
                return Err(Problem::Value { field: field.name.clone(), reason });
            }
            self.unfit.push((at, unfit));
        }
        Ok(())
    }

    /// Appends the row that is staged; its values that didn't fit are counted as those of record `index`.
    #[inline]
    pub(super) fn append(&mut self, record: &[u8], slots: &[Slot], index: usize, tally: &mut Tally) {
        if !self.unfit.is_empty() {
            self.count_unfit(record, slots, index, tally);
        }
        for field in &mut self.fields {
            if let Some(builder) = &mut field.builder {
                builder.append_staged(record, &slots[field.slot]);
            }
        }
    }

    #[cold]
    fn count_unfit(&mut self, record: &[u8], slots: &[Slot], index: usize, tally: &mut Tally) {
        for (at, unfit) in self.unfit.drain(..) {
            let WantedField { name, slot, builder, .. } = &self.fields[at];
            if let Some(builder) = builder {
                let reason = format!("field `{name}`: {}", builder.reason(&slots[*slot], unfit));
                tally.add(Lost::Value, reason, index, || builder.message(record, &slots[*slot], unfit));
            }
        }
    }

    /// Puts the columns so far in their places; the next ones start empty.
    pub(super) fn finish(&mut self, columns: &mut [Option<ArrayRef>]) {
        for field in &mut self.fields {
            columns[field.column] = field.builder.as_mut().map(Builder::finish);
        }
    }
}
