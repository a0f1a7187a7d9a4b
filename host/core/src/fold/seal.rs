//! What changed since the last flush: rows for the sinks, states for the checkpoint.

use arrow_array::{Array, ArrayRef};

use super::stored::encode_state;
use super::{Fold, FoldError, unplanned};
use crate::checkpoint::Changes;
use crate::operator::{Columns, Operator, OperatorError};
use crate::row::RowColumn;

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

/// All that changed up to one batch boundary.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The changed groups as rows.
    pub emitted: Vec<Emitted>,
    /// The changed groups' states, and the groups that are dropped.
    pub changes: Changes,
}

impl Fold {
    /// The groups that changed since the last call, for the flush of this number, which must be greater than the last. After an
    /// error they still count as changed. They stay in memory until [`Fold::set_committed`] says that the flush is in the store.
    pub fn seal(&mut self, operator: &mut dyn Operator, flush: u64) -> Result<Sealed, FoldError> {
        let mut sealed = Sealed::default();
        for groups in self.changed.chunks(EMIT_ROWS) {
            self.seal_some(operator, groups, &mut sealed)?;
        }
        if let Some(ttl) = self.keeping.ttl {
            for key in self.swept(self.now.saturating_sub(ttl))? {
                sealed.changes.push(&key, None);
            }
        }
        for group in self.changed.drain(..) {
            self.marks[group as usize] = super::Mark { dirty: false, sealed: flush, touched: self.now };
        }
        Ok(sealed)
    }

    fn seal_some(&self, operator: &mut dyn Operator, groups: &[u32], sealed: &mut Sealed) -> Result<(), FoldError> {
        let states = self.states.gather(groups);
        sealed.emitted.push(self.emit(operator, groups, &states)?);
        if self.backing.is_none() {
            return Ok(());
        }
        let columns: Vec<RowColumn<'_>> = states
            .iter()
            .map(RowColumn::new)
            .collect::<Option<_>>()
            .ok_or_else(|| OperatorError::Contract("a state's column is of no kind".to_owned()))?;
        let mut state = Vec::new();
        for (row, group) in groups.iter().enumerate() {
            state.clear();
            encode_state(self.now, &columns, row, &mut state);
            sealed.changes.push(self.groups.key(*group), Some(&state));
        }
        Ok(())
    }

    fn emit(&self, operator: &mut dyn Operator, groups: &[u32], states: &[ArrayRef]) -> Result<Emitted, FoldError> {
        let outputs = operator.emit(Columns { rows: groups.len(), arrays: states })?;
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
