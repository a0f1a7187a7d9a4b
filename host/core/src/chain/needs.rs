//! Search for the columns that are read, from the end of the chain backwards, so that decoding, lookups and the boundary carry
//! only these.

use super::{Step, TimeColumn};
use crate::operator::{Origin, TransformPlan};

/// Marks the columns of the last step's result that are read: all of them by the sinks, or the columns of the fold's plan and its
/// time.
pub(super) fn of_result(steps: &[Step], columns: usize, time: Option<TimeColumn>) -> Vec<bool> {
    let fold = match steps.last() {
        Some(Step::Operator { instance, .. }) => instance.fold_plan(),
        _ => None,
    };
    match fold {
        None => vec![true; columns],
        Some(plan) => {
            let time = time.map(|time| time.column);
            marked(columns, plan.keys.iter().chain(&plan.values).copied().chain(time))
        }
    }
}

/// Marks the columns before a step that are read. `after` marks the columns that are read after it; `carried` is a column that is
/// needed beside the step's outputs.
pub(super) fn before(step: &Step, after: &[bool], columns: usize, carried: Option<usize>) -> Vec<bool> {
    match step {
        Step::Operator { instance, .. } => {
            let plan = instance.transform_plan();
            let untouched = plan.outputs.iter().zip(after).filter_map(|((_, origin), needed)| match origin {
                Origin::Input(i) if *needed => Some(*i),
                _ => None,
            });
            let reads = if plan.computes() { plan.reads.as_slice() } else { &[] };
            marked(columns, reads.iter().copied().chain(untouched).chain(carried))
        }
        Step::Lookup { key, .. } => {
            let mut before = marked(columns, std::iter::once(*key));
            before.iter_mut().zip(after).for_each(|(before, after)| *before |= *after);
            before
        }
    }
}

/// Returns true if a plan's indices are within the columns that there are.
pub(super) fn within(plan: &TransformPlan, columns: usize) -> bool {
    let untouched = plan.outputs.iter().filter_map(|(_, origin)| match origin {
        Origin::Input(i) => Some(i),
        Origin::Computed(_) => None,
    });
    plan.reads.iter().chain(untouched).all(|i| *i < columns)
}

fn marked(columns: usize, read: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut marks = vec![false; columns];
    for column in read {
        if let Some(mark) = marks.get_mut(column) {
            *mark = true;
        }
    }
    marks
}
