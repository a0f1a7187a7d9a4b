//! Run of one batch through an operator's transform.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::take::take;

use super::halving::Halving;
use crate::batch::{Batch, RowOrigins};
use crate::operator::{Columns, Operator, OperatorError, Origin, Produced, Rejection, TransformPlan};
use crate::rejected::{RejectedRow, Stage};

/// Marks of the plan's outputs that are read, and the input column that follows them.
pub(super) type Kept<'a> = (&'a [bool], Option<usize>);

/// Calls `process` if the plan computes anything, and puts its columns together with the untouched ones.
pub(super) fn apply(
    operator: &mut Halving<'_>,
    step: usize,
    batch: Batch,
    kept: Kept<'_>,
    rejected: &mut Vec<RejectedRow>,
) -> Result<Batch, OperatorError> {
    let plan = operator.transform_plan();
    if !plan.computes() {
        let columns = outputs(plan, &batch, Vec::new(), kept, None)?;
        return Ok(Batch { columns, ..batch });
    }
    let read = plan.reads.iter().map(|i| present(&batch, *i)).collect::<Result<Vec<_>, _>>()?;
    let produced = operator.process(Columns { rows: batch.rows, arrays: &read })?;
    let plan = operator.transform_plan();
    rejected.extend(produced.rejected.into_iter().map(|rejection| rejected_row(rejection, &batch.origins, step)));
    let selection = produced.selection.map(|rows| selected(&rows, batch.rows)).transpose()?;
    let columns = outputs(plan, &batch, produced.columns, kept, selection.as_ref())?;
    let origins = match &selection {
        Some(selection) => batch.origins.select(selection.values()),
        None => batch.origins,
    };
    Ok(Batch { rows: produced.rows, columns, origins })
}

/// A row that an operator refuses, as the record that it is of.
pub(super) fn rejected_row(rejection: Rejection, origins: &RowOrigins, step: usize) -> RejectedRow {
    let record = origins.record(rejection.row as usize);
    RejectedRow { record, stage: Stage::Step(step), reason: rejection.reason }
}

/// Checks that an answer to `rows` rows keeps to the plan and the contract.
pub(super) fn check(plan: &TransformPlan, produced: &Produced, rows: usize) -> Result<(), OperatorError> {
    let kinds = plan.outputs.iter().filter_map(|(_, origin)| match origin {
        Origin::Computed(kind) => Some(kind.data_type()),
        Origin::Input(_) => None,
    });
    if !kinds.eq(produced.columns.iter().map(|array| array.data_type().clone())) {
        return Err(contract("`process` answered other columns than planned".to_owned()));
    }
    if produced.columns.iter().any(|array| array.len() != produced.rows) {
        return Err(contract(format!("`process` said {} rows, but a column has another length", produced.rows)));
    }
    if let Some(rejection) = produced.rejected.iter().find(|rejection| rejection.row as usize >= rows) {
        return Err(contract(format!("`process` rejected row {} of {rows}", rejection.row)));
    }
    match &produced.selection {
        None if produced.rows != rows => {
            Err(contract(format!("`process` made {} rows out of {rows} without a selection", produced.rows)))
        }
        None if !produced.rejected.is_empty() => {
            Err(contract("`process` rejected rows without a selection of the others".to_owned()))
        }
        Some(selection) if selection.len() != produced.rows => {
            Err(contract(format!("the selection has {} rows, the result {}", selection.len(), produced.rows)))
        }
        Some(selection) => selected(selection, rows).map(drop),
        None => Ok(()),
    }
}

fn selected(selection: &[i32], rows: usize) -> Result<UInt32Array, OperatorError> {
    selection
        .iter()
        .map(|row| u32::try_from(*row).ok().filter(|row| (*row as usize) < rows))
        .collect::<Option<Vec<u32>>>()
        .map(UInt32Array::from)
        .ok_or_else(|| contract(format!("the selection names a row outside of 0..{rows}")))
}

fn outputs(
    plan: &TransformPlan,
    batch: &Batch,
    computed: Vec<ArrayRef>,
    (needed, carried): Kept<'_>,
    selection: Option<&UInt32Array>,
) -> Result<Vec<Option<ArrayRef>>, OperatorError> {
    let mut computed = computed.into_iter();
    let carried = carried.map(|i| pick(&present(batch, i)?, selection).map(Some));
    plan.outputs
        .iter()
        .zip(needed)
        .map(|((_, origin), needed)| match origin {
            Origin::Computed(_) => Ok(computed.next()),
            Origin::Input(_) if !needed => Ok(None),
            Origin::Input(i) => pick(&present(batch, *i)?, selection).map(Some),
        })
        .chain(carried)
        .collect()
}

fn pick(column: &ArrayRef, selection: Option<&UInt32Array>) -> Result<ArrayRef, OperatorError> {
    match selection {
        None => Ok(Arc::clone(column)),
        Some(selection) => {
            take(column, selection, None).map_err(|e| OperatorError::Limit(format!("its selection is too large: {e}")))
        }
    }
}

fn present(batch: &Batch, column: usize) -> Result<ArrayRef, OperatorError> {
    let column = batch.columns.get(column).cloned().flatten();
    column.ok_or_else(|| contract("the plan names a column that doesn't exist".to_owned()))
}

fn contract(sentence: String) -> OperatorError {
    OperatorError::Contract(sentence)
}
