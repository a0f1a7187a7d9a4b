//! Columns of a record's own facts: whence it is, its key and its time.

use arrow_array::ArrayRef;

use super::convert::Builder;
use super::origin::Origin;
use super::problem::Problem;
use super::tally::{Lost, Tally};
use crate::records::Records;
use crate::time;

/// Columns of a record's own facts.
#[derive(Debug, Default)]
pub(super) struct Facts(Vec<Fact>);

#[derive(Debug)]
struct Fact {
    origin: Origin,
    /// Column of the batch.
    column: usize,
    builder: Builder,
}

/// A fact that doesn't fit its column.
struct Unfit {
    field: &'static str,
    /// Reason in words that don't differ from record to record.
    kind: &'static str,
    reason: String,
}

impl Facts {
    pub(super) fn add(&mut self, origin: Origin, column: usize, builder: Builder) {
        self.0.push(Fact { origin, column, builder });
    }

    /// Checks the facts that may not fit their columns; those that don't are counted by `ignored`, or else are a problem.
    #[inline]
    pub(super) fn check(
        &self,
        records: &dyn Records,
        index: usize,
        mut ignored: Option<&mut Tally>,
    ) -> Result<(), Problem> {
        for unfit in self.0.iter().filter_map(|fact| fact.unfit(records, index)) {
            let Some(tally) = &mut ignored else {
                return Err(Problem::Value { field: unfit.field.to_owned(), reason: unfit.reason });
            };
            tally.add(Lost::Value, format!("field `{}`: {}", unfit.field, unfit.kind), index, || unfit.reason);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn append(&mut self, records: &dyn Records, index: usize) {
        for fact in &mut self.0 {
            fact.append(records, index);
        }
    }

    /// Puts the columns so far in their places; the next ones start empty.
    pub(super) fn finish(&mut self, columns: &mut [Option<ArrayRef>]) {
        for fact in &mut self.0 {
            columns[fact.column] = Some(fact.builder.finish());
        }
    }
}

impl Fact {
    /// Returns why the fact can't become its column's value. A broker takes any bytes as a key and any number as a time, a
    /// column only texts and times of the calendar.
    #[inline]
    fn unfit(&self, records: &dyn Records, index: usize) -> Option<Unfit> {
        match self.origin {
            Origin::Key if self.builder.is_text() => {
                let unfit = records.key(index).is_some_and(|key| std::str::from_utf8(key).is_err());
                let kind = "the key is not UTF-8 text; declare the column as `binary`";
                unfit.then(|| Unfit { field: "_key", kind, reason: kind.to_owned() })
            }
            Origin::Timestamp => {
                let micros = records.timestamp(index).filter(|micros| !time::in_calendar(*micros))?;
                let kind = "a time that isn't in the years 0 to 9999";
                let reason =
                    format!("the record's time, {micros} microseconds since 1970, isn't in the years 0 to 9999");
                Some(Unfit { field: "_timestamp", kind, reason })
            }
            _ => None,
        }
    }

    fn append(&mut self, records: &dyn Records, index: usize) {
        let (partition, offset) = records.position(index);
        let builder = &mut self.builder;
        match self.origin {
            Origin::Topic => builder.append_text(Some(records.topic().as_bytes())),
            Origin::Partition => builder.append_number(Some(i64::from(partition.0))),
            Origin::Offset => builder.append_number(Some(offset.0)),
            Origin::Timestamp => {
                builder.append_number(records.timestamp(index).filter(|micros| time::in_calendar(*micros)));
            }
            Origin::Key | Origin::Field(_) | Origin::Within(_) | Origin::Path(_) => {
                builder.append_text(records.key(index))
            }
        }
    }
}
