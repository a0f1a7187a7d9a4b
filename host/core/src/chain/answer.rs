//! The answer of a transform, held against its plan and against the rows that it is to.

use arrow_array::{Array, UInt32Array};

use crate::operator::{OperatorError, Origin, Produced, TransformPlan};

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

/// Returns the rows that an answer selects; each must be one of `rows`.
pub(super) fn selected(selection: &[i32], rows: usize) -> Result<UInt32Array, OperatorError> {
    selection
        .iter()
        .map(|row| u32::try_from(*row).ok().filter(|row| (*row as usize) < rows))
        .collect::<Option<Vec<u32>>>()
        .map(UInt32Array::from)
        .ok_or_else(|| contract(format!("the selection names a row outside of 0..{rows}")))
}

fn contract(sentence: String) -> OperatorError {
    OperatorError::Contract(sentence)
}
