//! Where the groups are that aren't in memory.

use std::sync::Arc;

use super::forms::{self, Loaded};
use super::stored::touched_at;
use super::{Fold, FoldError, unplanned};
use crate::checkpoint::{CheckpointStore, Group, StoreError};
use crate::operator::Operator;

/// The most groups that are asked of the store at once. Fewer: more calls. More: memory for keys and states that aren't columns
/// yet.
const LOAD_GROUPS: usize = 8_192;

/// A pipeline's groups in a checkpoint store.
pub struct Backing {
    store: Arc<dyn CheckpointStore>,
    pipeline: String,
    /// Every group of the store is in memory, or the store has none.
    pub(super) complete: bool,
    /// Groups up to this key were looked at for being too old.
    swept: Option<Vec<u8>>,
}

impl Backing {
    /// The groups of this pipeline; `empty` if it never committed.
    pub fn new(store: Arc<dyn CheckpointStore>, pipeline: &str, empty: bool) -> Backing {
        Backing { store, pipeline: pipeline.to_owned(), complete: empty, swept: None }
    }

    pub(super) fn scan(&self, after: Option<&[u8]>, limit: usize) -> Result<Vec<Group>, StoreError> {
        self.store.scan(&self.pipeline, after, limit)
    }

    pub(super) fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged(format!(
            "{what} of pipeline `{}` in the checkpoint store has not the form that its head says; `sluice state reset {}` starts \
             it over",
            self.pipeline, self.pipeline
        ))
    }

    /// Names the pipeline whose states are damaged.
    pub(super) fn explain(&self, error: FoldError) -> FoldError {
        match error {
            FoldError::Store(StoreError::Damaged(_)) => self.damaged("a state").into(),
            error => error,
        }
    }
}

impl Fold {
    /// Reads the states of the groups from `known` on into their places.
    pub(super) fn load(&mut self, known: usize, operator: &mut dyn Operator) -> Result<(), FoldError> {
        let new: Vec<u32> = (known..self.groups.len()).filter_map(|group| u32::try_from(group).ok()).collect();
        for asked in new.chunks(LOAD_GROUPS) {
            let Some(backing) = self.backing.as_ref().filter(|backing| !backing.complete) else { return Ok(()) };
            let keys: Vec<&[u8]> = asked.iter().map(|group| self.groups.key(*group)).collect();
            let answers = backing.store.states(&backing.pipeline, &keys)?;
            let (found, stored): (Vec<u32>, Vec<&[u8]>) =
                asked.iter().zip(&answers).filter_map(|(group, state)| Some((*group, state.as_deref()?))).unzip();
            let loaded = forms::load(&self.form, &self.older, &stored, operator);
            let loaded = loaded.map_err(|error| backing.explain(error))?;
            self.put(&found, loaded)?;
        }
        Ok(())
    }

    /// Gives these groups their stored states.
    pub(super) fn put(&mut self, groups: &[u32], loaded: Vec<Loaded>) -> Result<(), FoldError> {
        for Loaded { which, touched, columns, older } in loaded {
            let groups: Vec<u32> = which.iter().map(|index| groups[*index]).collect();
            if !self.states.scatter(&groups, &columns) {
                return Err(unplanned("migrate", "states").into());
            }
            for (group, touched) in groups.iter().zip(touched) {
                let mark = &mut self.marks[*group as usize];
                (mark.touched, mark.older) = (touched, older);
            }
        }
        Ok(())
    }

    /// The keys of some stored groups that nobody touched for too long, each looked at once a round through the store.
    pub(super) fn swept(&mut self, limit: i64) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(backing) = &mut self.backing else { return Ok(Vec::new()) };
        let found = backing.store.scan(&backing.pipeline, backing.swept.as_deref(), LOAD_GROUPS)?;
        backing.swept = found.last().map(|(key, _)| key.clone());
        let mut old = Vec::new();
        for (key, state) in found {
            let touched = touched_at(&state).ok_or_else(|| backing.damaged("a state"))?;
            let newer = self.groups.find(&key).is_some_and(|group| {
                let mark = self.marks[group as usize];
                mark.unstored || mark.touched >= limit
            });
            if touched < limit && !newer {
                old.push(key);
            }
        }
        Ok(old)
    }
}
