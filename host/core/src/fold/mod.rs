//! Rows into one state for each group.
//!
//! ```text
//! key columns ──Groups──▶ group of each row ─┐
//! value columns ─────────────────────────────┼─▶ Operator::accumulate ──▶ States (and the group is now dirty)
//! States of the batch's distinct groups ─────┘
//! ```
//!
//! The operator is called once a batch, with the states of just the groups that the batch touches.

mod groups;
mod key;
mod states;

use arrow_array::{Array, ArrayRef};

use crate::operator::{Columns, FoldPlan, Operator, OperatorError};
use crate::schema::{Field, Kind};
pub use groups::Groups;
pub use states::States;

/// The most groups of one fold. Fewer: less memory before a runaway key is noticed. More: the host may run out of it;
/// ten million groups with a number each take about 1 GB.
pub const MAX_GROUPS: usize = 10_000_000;

/// The most states that one call to `emit` is given, so that an answer stays within an instance's limits.
const EMIT_ROWS: usize = 8_192;

/// Changed groups as rows: the key columns, then what `emit` computes.
#[derive(Debug, Clone)]
pub struct Emitted {
    /// The rows of every column.
    pub rows: usize,
    /// In the order of [`Fold::output_fields`].
    pub columns: Vec<ArrayRef>,
}

/// Why a fold can't go on. Nothing of the call that failed was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The operator failed.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// There are too many different keys.
    #[error("the fold has more than {MAX_GROUPS} groups; choose a key with fewer values")]
    TooManyGroups,
}

/// The groups of a pipeline and their states.
#[derive(Debug)]
pub struct Fold {
    plan: FoldPlan,
    key_fields: Vec<Field>,
    groups: Groups,
    states: States,
    dirty: Vec<bool>,
    changed: Vec<u32>,
    batch: BatchGroups,
}

/// The distinct groups of one batch. Buffers live as long as the fold.
#[derive(Debug, Default)]
struct BatchGroups {
    of_row: Vec<u32>,
    distinct: Vec<u32>,
    /// For each row, the place of its group in `distinct`.
    local: Vec<i32>,
    /// For each group of the fold, its place in `distinct`, if `seen` is the current round.
    place: Vec<(u64, i32)>,
    round: u64,
}

impl Fold {
    /// A fold with no groups, of an operator whose transform answers the `input` columns. None if the plan's indices are
    /// not within them.
    pub fn new(plan: FoldPlan, input: &[Field]) -> Option<Fold> {
        let key_fields: Vec<Field> = plan.keys.iter().map(|i| input.get(*i).cloned()).collect::<Option<_>>()?;
        let kinds: Vec<Kind> = key_fields.iter().map(|field| field.kind).collect();
        let states = States::new(&plan.state);
        Some(Fold {
            plan,
            key_fields,
            groups: Groups::new(kinds),
            states,
            dirty: Vec::new(),
            changed: Vec::new(),
            batch: BatchGroups::default(),
        })
    }

    /// The columns of [`Emitted`] rows.
    pub fn output_fields(&self) -> Vec<Field> {
        self.key_fields.iter().chain(&self.plan.outputs).cloned().collect()
    }

    /// How many columns of [`Fold::output_fields`] are the key.
    pub fn key_columns(&self) -> usize {
        self.key_fields.len()
    }

    /// The number of groups, and of those that changed since they were last emitted.
    pub fn size(&self) -> (usize, usize) {
        (self.groups.len(), self.changed.len())
    }

    /// Takes the states of another fold of the same form: same keys, same state columns and version. Else gives it back
    /// with a sentence that says what differs.
    pub fn adopt(&mut self, other: Fold) -> Result<(), (Box<Fold>, String)> {
        if let Some(difference) = self.difference(&other) {
            return Err((Box::new(other), difference));
        }
        self.groups = other.groups;
        self.states = other.states;
        self.dirty = other.dirty;
        self.changed = other.changed;
        Ok(())
    }

    /// Marks every group as changed: a new operator may show the same states otherwise.
    pub fn touch_all(&mut self) {
        self.changed = (0..self.groups.len()).map(|group| u32::try_from(group).unwrap_or(u32::MAX)).collect();
        self.dirty.fill(true);
    }

    fn difference(&self, other: &Fold) -> Option<String> {
        let list = |fields: &[Field]| fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if self.key_fields != other.key_fields {
            return Some(format!(
                "its keys are ({}), the running one's ({})",
                list(&self.key_fields),
                list(&other.key_fields)
            ));
        }
        if self.plan.state_version != other.plan.state_version {
            let (new, old) = (self.plan.state_version, other.plan.state_version);
            return Some(format!("its state version is {new}, the running one's {old}"));
        }
        (self.plan.state != other.plan.state).then(|| {
            let (new, old) = (list(&self.plan.state), list(&other.plan.state));
            format!(
                "its state has the columns ({new}), the running one's ({old}), but both say version {}",
                self.plan.state_version
            )
        })
    }

    /// Adds rows: `columns` are the transform's result, of which the planned ones must be there.
    pub fn accumulate(
        &mut self,
        operator: &mut dyn Operator,
        rows: usize,
        columns: &[Option<ArrayRef>],
    ) -> Result<(), FoldError> {
        if rows == 0 {
            return Ok(());
        }
        let keys = picked(columns, &self.plan.keys)?;
        let values = picked(columns, &self.plan.values)?;
        self.groups
            .assign(&keys, rows, &mut self.batch.of_row)
            .ok_or_else(|| OperatorError::Contract("a key column is of no kind that can be grouped".to_owned()))?;
        if self.groups.len() > MAX_GROUPS {
            return Err(FoldError::TooManyGroups);
        }
        self.states.grow(self.groups.len());
        self.dirty.resize(self.groups.len(), false);
        self.batch.localize(self.groups.len());
        let states = self.states.gather(&self.batch.distinct);
        let before = Columns { rows: self.batch.distinct.len(), arrays: &states };
        let after = operator.accumulate(&self.batch.local, Columns { rows, arrays: &values }, before)?;
        if !self.states.scatter(&self.batch.distinct, &after) {
            return Err(unplanned("accumulate", "states").into());
        }
        for group in &self.batch.distinct {
            if !std::mem::replace(&mut self.dirty[*group as usize], true) {
                self.changed.push(*group);
            }
        }
        Ok(())
    }

    /// The groups that changed since the last call, as rows. After an error they still count as changed.
    pub fn emit_changed(&mut self, operator: &mut dyn Operator) -> Result<Vec<Emitted>, FoldError> {
        let mut emitted = Vec::with_capacity(self.changed.len().div_ceil(EMIT_ROWS));
        for groups in self.changed.chunks(EMIT_ROWS) {
            emitted.push(self.emit(operator, groups)?);
        }
        for group in self.changed.drain(..) {
            self.dirty[group as usize] = false;
        }
        Ok(emitted)
    }

    fn emit(&self, operator: &mut dyn Operator, groups: &[u32]) -> Result<Emitted, FoldError> {
        let states = self.states.gather(groups);
        let outputs = operator.emit(Columns { rows: groups.len(), arrays: &states })?;
        let planned = outputs.len() == self.plan.outputs.len()
            && outputs
                .iter()
                .zip(&self.plan.outputs)
                .all(|(array, field)| array.len() == groups.len() && *array.data_type() == field.kind.data_type());
        if !planned {
            return Err(unplanned("emit", "columns").into());
        }
        let mut columns = self.groups.key_columns(groups);
        columns.extend(outputs);
        Ok(Emitted { rows: groups.len(), columns })
    }
}

impl BatchGroups {
    /// Numbers the groups of this batch from 0, in the order in which they come.
    fn localize(&mut self, groups: usize) {
        self.round += 1;
        self.place.resize(groups, (0, 0));
        self.distinct.clear();
        self.local.clear();
        self.local.reserve(self.of_row.len());
        for group in &self.of_row {
            let place = &mut self.place[*group as usize];
            if place.0 != self.round {
                // A batch has far fewer rows than i32::MAX.
                *place = (self.round, i32::try_from(self.distinct.len()).unwrap_or(i32::MAX));
                self.distinct.push(*group);
            }
            self.local.push(place.1);
        }
    }
}

fn picked(columns: &[Option<ArrayRef>], indices: &[usize]) -> Result<Vec<ArrayRef>, OperatorError> {
    indices.iter().map(|i| columns.get(*i).cloned().flatten()).collect::<Option<_>>().ok_or_else(|| {
        OperatorError::Contract("the fold's plan names a column that the transform doesn't have".to_owned())
    })
}

fn unplanned(call: &str, what: &str) -> OperatorError {
    OperatorError::Contract(format!("`{call}` answered other {what} than planned"))
}

#[cfg(test)]
mod tests;
