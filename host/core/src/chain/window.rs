//! Times of a windowed fold's rows, and rows that belong to no window.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;

use super::list;
use crate::batch::Batch;
use crate::fold::{Fold, WINDOW_COLUMNS};
use crate::interval::Partition;
use crate::operator::OperatorError;
use crate::records::Records;
use crate::rejected::{RejectedRow, Stage};
use crate::schema::{Field, Kind};
use crate::window::{Placed, WindowOptions};

/// Windows of the fold at the end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldWindow {
    /// The timestamp column: of the last step's transform, or else of the rows that come to that step.
    pub time: String,
    /// Options of the windows, with the treatment of late rows.
    pub options: WindowOptions,
}

/// Column of times in the last step's result.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeColumn {
    pub(super) column: usize,
    /// Column of the step's input that holds the times, if the transform doesn't output it: it is carried past the step.
    pub(super) carried: Option<usize>,
}

impl TimeColumn {
    /// Finds the window's time; a sentence says why it can't be had.
    pub(super) fn find(window: &FoldWindow, result: &[Field], input: &[Field]) -> Result<TimeColumn, String> {
        let name = &window.time;
        let position = |fields: &[Field]| fields.iter().position(|field| field.name == *name);
        let (field, found) = match (position(result), position(input)) {
            (Some(column), _) => (&result[column], TimeColumn { column, carried: None }),
            (None, Some(input_column)) => {
                (&input[input_column], TimeColumn { column: result.len(), carried: Some(input_column) })
            }
            (None, None) => {
                let (result, input) = (list(result), list(input));
                return Err(format!(
                    "the window's time `{name}` is neither in its result ({result}) nor in its input ({input})"
                ));
            }
        };
        match field.kind {
            Kind::Timestamp => Ok(found),
            _ => Err(format!("the window's time {field} must be a timestamp")),
        }
    }

    /// Finds the windows of the rows.
    pub(super) fn place(
        self,
        fold: &Fold,
        records: &dyn Records,
        batch: &Batch,
    ) -> Result<Option<Placed>, OperatorError> {
        let times = batch.columns.get(self.column).and_then(Option::as_ref);
        let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
        let times = times.ok_or_else(|| OperatorError::Contract("the window's time isn't there".to_owned()))?;
        let partition = |row: usize| -> Partition { records.position(batch.origins.record(row)).0 };
        let time = |row: usize| times.is_valid(row).then(|| times.value(row));
        Ok(fold.place((0..batch.rows).map(|row| (partition(row), time(row)))))
    }
}

/// Gives the fold its window; the error is a sentence that says why it can't have one.
pub(super) fn windowed(fold: Option<Fold>, window: Option<&FoldWindow>) -> Result<Option<Fold>, String> {
    let Some(window) = window else { return Ok(fold) };
    let fold = fold.ok_or("only an aggregator has a window, and the last step is none")?;
    let fold = fold.windowed(window.options);
    let fields = fold.output_fields();
    let twice = |name: &&str| fields.iter().filter(|field| field.name == *name).count() > 1;
    match WINDOW_COLUMNS.into_iter().find(|name| twice(name)) {
        None => Ok(Some(fold)),
        Some(name) => Err(format!("its result has a column `{name}` of its own, which is the window's name")),
    }
}

/// The rows that are at fault because they have no place.
pub(super) fn rejected(placed: &Placed, batch: &Batch, step: usize) -> impl Iterator<Item = RejectedRow> {
    placed.unplaced.iter().map(move |(row, reason)| RejectedRow {
        record: batch.origins.record(*row as usize),
        stage: Stage::Step(step),
        reason: reason.to_string(),
    })
}
