//! Batches across the boundary, held against the plan: how many columns, of which kinds, with how many rows.
//!
//! A sentence names the call and the column, since its reader is the operator's author.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use sluice_core::operator::{Columns, OperatorError, Origin, Produced, Rejection, TransformPlan};
use sluice_core::{Field, Kind};

use crate::boundary::{LentBatch, Processed};
use crate::buffers::{Answered, accept, accept_selection, lend};
use crate::limits::{Limits, MAX_REASON_BYTES, MAX_ROWS_OUT_EXTRA, truncated};

/// Returns the error for a call of the host that breaks the plan: a bug of ours, told apart from the operator's.
pub(crate) fn misused(call: &str, what: &str) -> OperatorError {
    OperatorError::Contract(format!("`{call}` was to be called by the host with {what}"))
}

/// Lends columns, which must be of these kinds.
pub(crate) fn lend_batch(
    call: &str,
    input: Columns<'_>,
    kinds: impl ExactSizeIterator<Item = Kind>,
) -> Result<LentBatch, OperatorError> {
    let misused = |what: String| misused(call, &what);
    let rows = u32::try_from(input.rows).map_err(|_| misused(format!("{} rows", input.rows)))?;
    if kinds.len() != input.arrays.len() {
        return Err(misused(format!("{} columns where the plan has {}", input.arrays.len(), kinds.len())));
    }
    let lent = input.arrays.iter().zip(kinds).map(|(array, kind)| {
        if array.len() != input.rows {
            return Err(misused(format!("a column of {} rows in a batch of {rows}", array.len())));
        }
        lend(array, kind).ok_or_else(|| misused(format!("{} where the plan has {kind}", array.data_type())))
    });
    Ok(LentBatch { rows, columns: lent.collect::<Result<_, _>>()? })
}

/// Accepts what `process` answered to `rows_in` rows.
pub(crate) fn accept_processed(
    answered: Processed,
    plan: &TransformPlan,
    rows_in: usize,
    limits: &Limits,
) -> Result<Produced, OperatorError> {
    let (rows, each) = (answered.rows as usize, limits.rows_out);
    let most = rows_in.saturating_mul(each).saturating_add(MAX_ROWS_OUT_EXTRA);
    if rows > most {
        return Err(OperatorError::Limit(format!(
            "`process` answered {rows} rows to {rows_in}, and may answer {most}: {each} for each, and {MAX_ROWS_OUT_EXTRA}"
        )));
    }
    let computed: Vec<_> = plan.outputs.iter().filter_map(computed).collect();
    let columns = accept_columns("process", answered.columns, &computed, rows)?;
    let selection = answered.selection.map(|selection| accept_selection(&selection, rows));
    let selection = selection.transpose().map_err(|defect| broken("process", "selection", &defect))?;
    Ok(Produced { rows, columns, selection, rejected: accept_rejected(answered.rejected, rows_in)? })
}

/// The columns that a call of the fold answered.
pub(crate) fn accept_fields(
    call: &str,
    answered: Vec<Answered>,
    fields: &[Field],
    rows: usize,
) -> Result<Vec<ArrayRef>, OperatorError> {
    let planned: Vec<_> = fields.iter().map(|field| (field.name.as_str(), field.kind)).collect();
    accept_columns(call, answered, &planned, rows)
}

/// The states that a call of the fold answered, none of them larger than it may be.
pub(crate) fn accept_states(
    call: &str,
    answered: Vec<Answered>,
    fields: &[Field],
    rows: usize,
    limits: &Limits,
) -> Result<Vec<ArrayRef>, OperatorError> {
    let states = accept_fields(call, answered, fields, rows)?;
    match oversized(&states, rows, limits.state_bytes) {
        None => Ok(states),
        Some(bytes) => Err(OperatorError::Limit(format!(
            "`{call}` answered a state of {bytes} bytes of text and binary, and a group's may have {}: keep less of each \
             group, or raise its state limit",
            limits.state_bytes
        ))),
    }
}

/// The size of the first state of more bytes than `most`.
fn oversized(states: &[ArrayRef], rows: usize, most: usize) -> Option<usize> {
    let offsets: Vec<&[i32]> = states.iter().filter_map(offsets).collect();
    // Offsets are checked: they begin with 0 and never fall.
    let size = |row: usize| offsets.iter().map(|offsets| (offsets[row + 1] - offsets[row]) as usize).sum();
    let all: usize = offsets.iter().map(|offsets| offsets[rows] as usize).sum();
    if all <= most { None } else { (0..rows).map(size).find(|bytes: &usize| *bytes > most) }
}

fn offsets(array: &ArrayRef) -> Option<&[i32]> {
    let texts = array.as_string_opt::<i32>().map(|array| array.value_offsets());
    texts.or_else(|| array.as_binary_opt::<i32>().map(|array| array.value_offsets()))
}

fn computed((name, origin): &(String, Origin)) -> Option<(&str, Kind)> {
    match origin {
        Origin::Computed(kind) => Some((name, *kind)),
        Origin::Input(_) => None,
    }
}

fn accept_columns(
    call: &str,
    answered: Vec<Answered>,
    planned: &[(&str, Kind)],
    rows: usize,
) -> Result<Vec<ArrayRef>, OperatorError> {
    if answered.len() != planned.len() {
        let sentence = format!("`{call}` answered {} columns where its plan has {}", answered.len(), planned.len());
        return Err(OperatorError::Contract(sentence));
    }
    let accepted = answered.into_iter().zip(planned).map(|(column, (name, kind))| {
        accept(column, *kind, rows).map_err(|defect| broken(call, &format!("column `{name}` ({kind})"), &defect))
    });
    accepted.collect()
}

/// Checks the rejected rows. A row is rejected once, so there can't be more of them than rows.
fn accept_rejected(mut rejected: Vec<Rejection>, rows_in: usize) -> Result<Vec<Rejection>, OperatorError> {
    if rejected.len() > rows_in {
        let sentence = format!("`process` rejected {} rows of {rows_in}", rejected.len());
        return Err(OperatorError::Contract(sentence));
    }
    for rejection in &mut rejected {
        rejection.reason = truncated(std::mem::take(&mut rejection.reason), MAX_REASON_BYTES);
    }
    Ok(rejected)
}

fn broken(call: &str, what: &str, defect: &crate::buffers::Defect) -> OperatorError {
    OperatorError::Contract(format!("`{call}` answered a bad {what}: {defect}"))
}
