//! Run of one batch through an operator's transform.

use std::sync::Arc;

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::take::take;

use super::answer::selected;
use super::halving::Halving;
use crate::batch::{Batch, RowOrigins};
use crate::operator::{Columns, Operator, OperatorError, Origin, Rejection, TransformPlan};
use crate::rejected::{RejectedRow, Stage};

/// Marks of the plan's outputs that are read, and the input column that follows them.
pub(super) type Carried<'a> = (&'a [bool], Option<usize>);

/// Calls `process` if the plan computes anything, and puts its columns together with the untouched ones.
pub(super) fn apply(
    operator: &mut Halving<'_>,
    step: usize,
    batch: Batch,
    kept: Carried<'_>,
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

fn outputs(
    plan: &TransformPlan,
    batch: &Batch,
    computed: Vec<ArrayRef>,
    (needed, carried): Carried<'_>,
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
