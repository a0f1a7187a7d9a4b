//! The probe whether `process` answers the same rows in the same way, whatever it was called with before.

use arrow_array::{ArrayRef, UInt32Array};
use arrow_select::take::{TakeOptions, take};
use sluice_core::chain::joined;
use sluice_core::operator::{Columns, Operator, OperatorError, Origin, Produced, TransformPlan};

use super::{CUTS, Opener, differing};
use crate::instance::{Instance, OpenError};

/// Rows, and an operator to be tried on them.
pub(super) struct Processing<'a> {
    opener: &'a Opener<'a>,
    /// The name of these rows.
    sort: &'a str,
    rows: &'a [ArrayRef],
}

impl<'a> Processing<'a> {
    pub(super) fn new(opener: &'a Opener<'a>, sort: &'a str, rows: &'a [ArrayRef]) -> Processing<'a> {
        Processing { opener, sort, rows }
    }

    /// Tries; answers the columns of the transform's result.
    pub(super) fn probe(&self, findings: &mut Vec<String>) -> Result<Option<Vec<ArrayRef>>, OpenError> {
        let mut one = self.opener.open()?;
        let plan = one.transform_plan().clone();
        if self.rows.is_empty() || !plan.computes() {
            return Ok(result(&plan, self.rows, None));
        }
        let able = self.able(&mut one, findings)?;
        let rows: Option<Vec<ArrayRef>> = self.rows.iter().map(|column| take(column, &able, None).ok()).collect();
        let Some(rows) = rows.filter(|_| !able.values().is_empty()) else { return Ok(None) };
        one.renew()?;
        let first = in_parts(&mut one, &rows, able.values().len());
        let names: Vec<String> = computed(&plan).collect();
        let mut same = |what: &str, answer: Result<Produced, OperatorError>| {
            let compare = |one: &Produced, other: &Produced| differing::produced(&names, one, other);
            if let Some(difference) = differing::answers(&first, &answer, compare) {
                findings.push(format!("`process` answers {} otherwise {what}: {difference}", self.sort));
            }
        };
        same("the second time", in_parts(&mut one, &rows, able.values().len()));
        same("by another instance", in_parts(&mut self.opener.open()?, &rows, able.values().len()));
        for cut in CUTS {
            same(&format!("in batches of {cut}"), in_parts(&mut self.opener.open()?, &rows, cut));
        }
        let after = first.ok().and_then(|produced| result(&plan, &rows, Some(produced)));
        if after.is_none() {
            findings.push(format!("`process` doesn't answer {} all at once, though each of them alone", self.sort));
        }
        Ok(after)
    }

    /// The rows that can be processed alone. What an operator refuses is its own business, what it fails on isn't.
    fn able(&self, instance: &mut Instance, findings: &mut Vec<String>) -> Result<UInt32Array, OpenError> {
        let (mut able, mut failed) = (Vec::new(), 0);
        for row in 0..self.rows[0].len() {
            let alone: Vec<ArrayRef> = self.rows.iter().map(|column| column.slice(row, 1)).collect();
            match in_parts(instance, &alone, 1) {
                // Rows that are made up are few.
                Ok(_) => able.push(row as u32),
                Err(OperatorError::Refused(_)) => {}
                Err(error) => {
                    instance.renew()?;
                    let again = in_parts(instance, &alone, 1);
                    if again.is_ok() {
                        able.push(row as u32);
                    }
                    let when = if again.is_ok() { " after others, though not by itself" } else { "" };
                    if failed == 0 {
                        findings.push(format!("`process` fails on one of the {}{when}: {error}", self.sort));
                    }
                    failed += 1;
                    instance.renew()?;
                }
            }
        }
        Ok(UInt32Array::from(able))
    }
}

/// Returns the answer to all rows, given in batches of `cut` rows.
fn in_parts(instance: &mut Instance, rows: &[ArrayRef], cut: usize) -> Result<Produced, OperatorError> {
    let plan = instance.transform_plan().clone();
    let count = rows[0].len();
    let mut parts = Vec::new();
    for start in (0..count).step_by(cut) {
        let part = start..count.min(start + cut);
        let read: Vec<ArrayRef> = plan.reads.iter().map(|i| rows[*i].slice(part.start, part.len())).collect();
        let produced = instance.process(Columns { rows: part.len(), arrays: &read })?;
        parts.push((part, produced));
    }
    joined(parts, &plan, Vec::new())
}

fn computed(plan: &TransformPlan) -> impl Iterator<Item = String> + '_ {
    plan.outputs.iter().filter(|(_, origin)| origin.computed().is_some()).map(|(name, _)| name.clone())
}

/// The transform's columns; none if its selection is none.
fn result(plan: &TransformPlan, rows: &[ArrayRef], produced: Option<Produced>) -> Option<Vec<ArrayRef>> {
    let (columns, selection) = produced.map_or((Vec::new(), None), |produced| (produced.columns, produced.selection));
    let selection = selection.map(|rows| {
        rows.into_iter().map(|row| u32::try_from(row).ok()).collect::<Option<Vec<u32>>>().map(UInt32Array::from)
    });
    let checked = || Some(TakeOptions { check_bounds: true });
    let mut columns = columns.into_iter();
    let untouched = |column: &ArrayRef| match &selection {
        None => Some(ArrayRef::clone(column)),
        Some(selection) => take(column, selection.as_ref()?, checked()).ok(),
    };
    let column = |(_, origin): &(String, Origin)| match origin {
        Origin::Computed(_) => columns.next(),
        Origin::Input(index) => untouched(rows.get(*index)?),
    };
    plan.outputs.iter().map(column).collect()
}
