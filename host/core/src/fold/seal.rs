//! Seal of the changes since the last flush: rows for the sinks, states for the checkpoint.

use arrow_array::{Array, ArrayRef};

use super::stored::encode_state;
use super::{Fold, FoldError, Mark, unplanned};
use crate::checkpoint::{Changes, StoreError};
use crate::operator::{Columns, Operator, OperatorError, on_a_fresh_one};
use crate::row::RowColumn;
use crate::rows::Rows;

/// The most states that one call to `emit` is given, so that an answer stays within an instance's limits.
const EMIT_ROWS: usize = 8_192;

/// Changes up to one batch boundary.
#[derive(Debug, Default)]
pub struct Sealed {
    /// The changed groups as rows: the key columns, then what `emit` computes, in the order of [`Fold::output_fields`].
    pub emitted: Vec<Rows>,
    /// The changed groups' states, and the groups that are dropped.
    pub changes: Changes,
}

/// Work of a seal on some groups.
#[derive(Debug)]
struct SealedPart {
    groups: Vec<u32>,
    /// True if the groups become rows.
    shown: bool,
    /// True if the groups' states become durable.
    stored: bool,
}

impl Fold {
    /// Returns the changes since the last call, for the flush of this number, which must be greater than the last. After an error
    /// every change still counts as unsealed. Groups stay in memory until [`Fold::set_committed`] says that the flush is in the
    /// store; groups of windows that are over are dropped.
    ///
    /// During a trial there are no changes for the store: groups whose state changed stay in memory, and are handed over with the
    /// first seal after it.
    pub fn seal(&mut self, operator: &mut dyn Operator, flush: u64) -> Result<Sealed, FoldError> {
        let mut sealed = Sealed::default();
        let over = self.over();
        let parts = self.parts();
        for part in &parts {
            for groups in part.groups.chunks(EMIT_ROWS) {
                self.seal_some(operator, groups, part, &mut sealed)?;
            }
        }
        if let Some(ttl) = self.keeping.ttl.filter(|_| !self.on_trial) {
            match self.swept(self.now.saturating_sub(ttl)) {
                Ok(old) => old.iter().for_each(|key| sealed.changes.end(key)),
                // They are found again in another round: no flush waits for a store that is away.
                Err(StoreError::Unavailable(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for group in std::mem::take(&mut self.changed) {
            self.sealed(group, flush);
        }
        self.end_windows(over, &mut sealed.changes);
        Ok(sealed)
    }

    /// Updates the marks of a listed group after its seal.
    fn sealed(&mut self, group: u32, flush: u64) {
        let mark = &mut self.marks[group as usize];
        (mark.listed, mark.unshown) = (false, false);
        if !mark.unstored {
            return;
        }
        (mark.touched, mark.changed) = (mark.touched_at(self.now), false);
        if !self.on_trial {
            (mark.unstored, mark.older, mark.sealed) = (false, false, flush);
        } else if !std::mem::replace(&mut mark.held, true) {
            self.held.push(group);
        }
    }

    /// Returns the groups to seal, sorted by whether they are shown and whether they are stored.
    fn parts(&self) -> Vec<SealedPart> {
        let mut parts = [(true, true), (true, false), (false, true)].map(|(shown, stored)| SealedPart {
            groups: Vec::new(),
            shown,
            stored,
        });
        let mut add = |group: u32, what: (bool, bool)| {
            if let Some(part) = parts.iter_mut().find(|part| (part.shown, part.stored) == what) {
                part.groups.push(group);
            }
        };
        for group in &self.changed {
            let Mark { unshown, unstored, gone, .. } = self.marks[*group as usize];
            let (shown, kept) = match &self.windowed {
                _ if gone => (false, false),
                None => (unshown, true),
                Some(windowed) => windowed.what(*group, unshown || self.is_to_be_shown(*group)),
            };
            add(*group, (shown, kept && unstored && !self.on_trial));
        }
        if let Some(windowed) = &self.windowed {
            for group in windowed.due().filter(|group| !self.marks[*group as usize].listed) {
                // What is dropped now is gone before a walk comes to it.
                let (shown, _) = windowed.what(group, self.is_to_be_shown(group));
                add(group, (shown, false));
            }
        }
        parts.into()
    }

    fn seal_some(
        &self,
        operator: &mut dyn Operator,
        groups: &[u32],
        part: &SealedPart,
        sealed: &mut Sealed,
    ) -> Result<(), FoldError> {
        let states = self.states.gather(groups);
        if part.shown {
            sealed.emitted.push(self.emit(operator, groups, &states)?);
        }
        if self.backing.is_none() || !part.stored {
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
            let touched = self.marks[*group as usize].touched_at(self.now);
            encode_state(touched, self.form.version, &columns, row, &mut state);
            sealed.changes.push(self.groups.key(*group), Some(&state));
        }
        Ok(())
    }

    fn emit(&self, operator: &mut dyn Operator, groups: &[u32], states: &[ArrayRef]) -> Result<Rows, FoldError> {
        let states = Columns { rows: groups.len(), arrays: states };
        let outputs = on_a_fresh_one(operator, |operator| operator.emit(states))?;
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
        Ok(Rows { rows: groups.len(), columns })
    }
}
