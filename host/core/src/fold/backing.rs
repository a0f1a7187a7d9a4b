//! Where the groups are that aren't in memory.

use std::sync::Arc;

use super::{Fold, FoldError, Groups, Mark, States, decode_states};
use crate::checkpoint::{CheckpointStore, Group, StoreError};
use crate::row;

/// The most groups that are asked of the store at once. Fewer: more calls. More: memory for keys and states that aren't columns
/// yet.
const LOAD_GROUPS: usize = 8_192;

/// A pipeline's groups in a checkpoint store.
pub struct Backing {
    store: Arc<dyn CheckpointStore>,
    pipeline: String,
    /// Every group of the store is in memory, or the store has none.
    pub(super) complete: bool,
    /// Groups after this key are to be emitted again.
    refresh: Option<Option<Vec<u8>>>,
    /// Groups up to this key were looked at for being too old.
    swept: Option<Vec<u8>>,
}

impl Backing {
    /// The groups of this pipeline; `empty` if it never committed.
    pub fn new(store: Arc<dyn CheckpointStore>, pipeline: &str, empty: bool) -> Backing {
        Backing { store, pipeline: pipeline.to_owned(), complete: empty, refresh: None, swept: None }
    }

    /// Reads the states of the groups from `known` on into their places.
    pub(super) fn load(
        &self,
        groups: &Groups,
        known: usize,
        states: &mut States,
        marks: &mut [Mark],
    ) -> Result<(), StoreError> {
        if self.complete {
            return Ok(());
        }
        let new: Vec<u32> = (known..groups.len()).filter_map(|group| u32::try_from(group).ok()).collect();
        for asked in new.chunks(LOAD_GROUPS) {
            let keys: Vec<&[u8]> = asked.iter().map(|group| groups.key(*group)).collect();
            let answers = self.store.states(&self.pipeline, &keys)?;
            let found: Vec<(u32, Vec<u8>)> =
                asked.iter().zip(answers).filter_map(|(group, state)| Some((*group, state?))).collect();
            self.put(&found, states, marks)?;
        }
        Ok(())
    }

    fn put(&self, found: &[(u32, Vec<u8>)], states: &mut States, marks: &mut [Mark]) -> Result<(), StoreError> {
        let groups: Vec<u32> = found.iter().map(|(group, _)| *group).collect();
        let stored = decode_states(&states.kinds(), found.iter().map(|(_, state)| state.as_slice()));
        let stored = stored.ok_or_else(|| self.damaged("a state"))?;
        if !states.scatter(&groups, &stored.columns) {
            return Err(self.damaged("a state"));
        }
        for (group, touched) in groups.iter().zip(stored.touched) {
            marks[*group as usize].touched = touched;
        }
        Ok(())
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged(format!(
            "{what} of pipeline `{}` in the checkpoint store has not the form that its head says; `sluice state reset {}` starts \
             it over",
            self.pipeline, self.pipeline
        ))
    }
}

impl Fold {
    /// Counts every group as changed, in memory at once and those in the store by and by: see [`Fold::refresh`].
    pub fn touch_all(&mut self) {
        self.marks.iter_mut().for_each(|mark| mark.dirty = !mark.gone);
        self.changed = (0u32..).zip(&self.marks).filter(|(_, mark)| mark.dirty).map(|(group, _)| group).collect();
        if let Some(backing) = self.backing.as_mut().filter(|backing| !backing.complete) {
            backing.refresh = Some(None);
        }
    }

    /// Whether groups in the store still wait to be emitted again.
    pub fn is_refreshing(&self) -> bool {
        self.backing.as_ref().is_some_and(|backing| backing.refresh.is_some())
    }

    /// Takes the next groups of the store that are to be emitted again into memory, as changed.
    pub fn refresh(&mut self) -> Result<(), FoldError> {
        let Some(backing) = &mut self.backing else { return Ok(()) };
        let Some(after) = backing.refresh.take() else { return Ok(()) };
        let found = backing.store.scan(&backing.pipeline, after.as_deref(), LOAD_GROUPS);
        let found = found.inspect_err(|_| backing.refresh = Some(after))?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        backing.refresh = Some(Some(last.clone()));
        for group in self.take_in(found)? {
            self.marks[group as usize].dirty = true;
            self.changed.push(group);
        }
        Ok(())
    }

    /// Takes all groups of the store into memory.
    pub(super) fn load_all(&mut self) -> Result<(), FoldError> {
        let mut after: Option<Vec<u8>> = None;
        while let Some(backing) = self.backing.as_ref().filter(|backing| !backing.complete) {
            let found = backing.store.scan(&backing.pipeline, after.as_deref(), LOAD_GROUPS)?;
            after = found.last().map(|(key, _)| key.clone());
            if let Some(backing) = self.backing.as_mut().filter(|_| after.is_none()) {
                backing.complete = true;
            }
            self.take_in(found)?;
        }
        Ok(())
    }

    /// Takes stored groups into memory; answers those that weren't there. What is in memory is newer than what is stored.
    fn take_in(&mut self, found: Vec<Group>) -> Result<Vec<u32>, FoldError> {
        let Some(backing) = &self.backing else { return Ok(Vec::new()) };
        let known = self.groups.len();
        if row::decode(self.groups.kinds(), found.iter().map(|(key, _)| key.as_slice())).is_none() {
            return Err(backing.damaged("a key").into());
        }
        let groups: Vec<u32> = found.iter().map(|(key, _)| self.groups.group_of(key)).collect();
        let new: Vec<(u32, Vec<u8>)> = groups
            .into_iter()
            .zip(found)
            .filter(|(group, _)| *group as usize >= known)
            .map(|(group, (_, state))| (group, state))
            .collect();
        self.resize(self.groups.len());
        if let Some(backing) = &self.backing {
            backing.put(&new, &mut self.states, &mut self.marks)?;
        }
        Ok(new.into_iter().map(|(group, _)| group).collect())
    }

    /// The keys of some stored groups that nobody touched for too long, each looked at once a round through the store.
    pub(super) fn swept(&mut self, limit: i64) -> Result<Vec<Vec<u8>>, StoreError> {
        let Some(backing) = &mut self.backing else { return Ok(Vec::new()) };
        let found = backing.store.scan(&backing.pipeline, backing.swept.as_deref(), LOAD_GROUPS)?;
        backing.swept = found.last().map(|(key, _)| key.clone());
        let kinds = self.states.kinds();
        let mut old = Vec::new();
        for (key, state) in found {
            let stored = decode_states(&kinds, std::iter::once(state.as_slice()));
            let touched = stored.ok_or_else(|| backing.damaged("a state"))?.touched;
            let newer = self.groups.find(&key).is_some_and(|group| {
                let mark = self.marks[group as usize];
                mark.dirty || mark.touched >= limit
            });
            if touched.iter().all(|touched| *touched < limit) && !newer {
                old.push(key);
            }
        }
        Ok(old)
    }
}
