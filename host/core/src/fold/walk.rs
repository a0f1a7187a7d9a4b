//! A walk over all groups, some at a time: those in memory, then those in the store.
//!
//! Two reasons send one: other operators or sinks show every group anew, and states of an older form are stored anew.

use super::forms;
use super::{Fold, FoldError};
use crate::checkpoint::Group;
use crate::operator::Operator;
use crate::row;

/// The most groups of one step. Fewer: more calls. More: records wait longer for the step, and more keys and states are in
/// memory that aren't columns yet.
pub(super) const WALK_GROUPS: usize = 8_192;

/// A walk under way.
#[derive(Debug)]
pub(super) struct Walk {
    purpose: Purpose,
    at: WalkPosition,
}

/// Purpose of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Every group becomes rows again.
    Show,
    /// Groups that are stored in an older form are stored again.
    Store,
}

/// Place at which the walk goes on.
#[derive(Debug)]
enum WalkPosition {
    /// The group of this number in memory is the next.
    Memory(u32),
    /// The first key after this one in the store is the next.
    Store(Option<Vec<u8>>),
}

impl Walk {
    /// Adapts the walk to new numbers of the groups in memory: the groups `kept` stay, in this order.
    pub(super) fn renumber(&mut self, kept: &[u32]) {
        if let WalkPosition::Memory(next) = &mut self.at {
            *next = u32::try_from(kept.partition_point(|group| *group < *next)).unwrap_or(u32::MAX);
        }
    }
}

impl Fold {
    /// Begins to turn every group into rows again, some at a time: see [`Fold::refresh`].
    pub fn touch_all(&mut self) {
        self.walk = Some(Walk { purpose: Purpose::Show, at: WalkPosition::Memory(0) });
    }

    /// Returns true if groups are still to be shown or stored again.
    pub fn is_refreshing(&self) -> bool {
        self.walk.is_some() || self.must_rewrite()
    }

    /// Returns true if groups are still to be shown again. After a crash now, all groups are shown again.
    pub fn is_showing(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.purpose == Purpose::Show)
    }

    /// Returns true if a walk has yet to reach this group in memory, and will show it.
    pub(super) fn is_to_be_shown(&self, group: u32) -> bool {
        matches!(self.walk, Some(Walk { purpose: Purpose::Show, at: WalkPosition::Memory(next) }) if group >= next)
    }

    /// Returns true if the store has states of older forms that may be rewritten now.
    fn must_rewrite(&self) -> bool {
        !self.older.is_empty() && !self.on_trial
    }

    /// Marks the next groups of the walk as changed, so that they are shown or stored again.
    pub fn refresh(&mut self, operator: &mut dyn Operator) -> Result<(), FoldError> {
        if self.walk.is_none() && self.must_rewrite() {
            self.walk = Some(Walk { purpose: Purpose::Store, at: WalkPosition::Memory(0) });
        }
        let Some(Walk { purpose, at }) = self.walk.take() else { return Ok(()) };
        let next = match &at {
            WalkPosition::Memory(next) => Ok(self.walk_memory(purpose, *next)),
            WalkPosition::Store(after) => self.walk_store(purpose, after.as_deref(), operator),
        };
        match next {
            Ok(at) => {
                self.walk = at.map(|at| Walk { purpose, at });
                if self.walk.is_none() && purpose == Purpose::Store {
                    // Once what has changed is sealed, the store has this form alone.
                    self.older.clear();
                }
                Ok(())
            }
            Err(error) => {
                self.walk = Some(Walk { purpose, at });
                Err(error)
            }
        }
    }

    fn walk_memory(&mut self, purpose: Purpose, next: u32) -> Option<WalkPosition> {
        let end = next.saturating_add(WALK_GROUPS as u32).min(u32::try_from(self.marks.len()).unwrap_or(u32::MAX));
        for group in next..end {
            self.walk_over(purpose, group);
        }
        if (end as usize) < self.marks.len() {
            return Some(WalkPosition::Memory(end));
        }
        let stored = self.backing.as_ref().is_some_and(|backing| !backing.complete);
        stored.then_some(WalkPosition::Store(None))
    }

    fn walk_store(
        &mut self,
        purpose: Purpose,
        after: Option<&[u8]>,
        operator: &mut dyn Operator,
    ) -> Result<Option<WalkPosition>, FoldError> {
        let Some(backing) = &self.backing else { return Ok(None) };
        let mut found = backing.scan(after, WALK_GROUPS)?;
        let Some((last, _)) = found.last() else { return Ok(None) };
        let next = WalkPosition::Store(Some(last.clone()));
        if purpose == Purpose::Store {
            found.retain(|(_, state)| super::stored_version(state) != Some(self.form.version));
        }
        let mut taken = self.take_in(found, operator)?;
        if purpose == Purpose::Show {
            // What was in memory already was shown, or will be.
            taken.retain(|(_, new)| *new);
        }
        taken.into_iter().for_each(|(group, _)| self.walk_over(purpose, group));
        Ok(Some(next))
    }

    fn walk_over(&mut self, purpose: Purpose, group: u32) {
        let mark = self.marks[group as usize];
        match purpose {
            // Whoever was told that it has ended must not see it again.
            _ if mark.gone || self.is_expired(group) => {}
            Purpose::Show => self.change(group, true, false),
            Purpose::Store if mark.older => self.change(group, false, true),
            Purpose::Store => {}
        }
    }

    /// Takes all groups of the store into memory.
    pub(super) fn load_all(&mut self, operator: &mut dyn Operator) -> Result<(), FoldError> {
        let mut after: Option<Vec<u8>> = None;
        while let Some(backing) = self.backing.as_ref().filter(|backing| !backing.complete) {
            let found = backing.scan(after.as_deref(), WALK_GROUPS)?;
            after = found.last().map(|(key, _)| key.clone());
            if let Some(backing) = self.backing.as_mut().filter(|_| after.is_none()) {
                backing.complete = true;
            }
            self.take_in(found, operator)?;
        }
        Ok(())
    }

    /// Takes stored groups into memory; answers all of them, and which of them weren't there. What is in memory is newer than what
    /// is stored.
    fn take_in(&mut self, found: Vec<Group>, operator: &mut dyn Operator) -> Result<Vec<(u32, bool)>, FoldError> {
        let Some(backing) = &self.backing else { return Ok(Vec::new()) };
        let known = self.groups.len();
        if row::decode(self.groups.kinds(), found.iter().map(|(key, _)| key.as_slice())).is_none() {
            return Err(backing.damaged("a key").into());
        }
        let stored: Vec<&[u8]> = found
            .iter()
            .filter(|(key, _)| self.groups.find(key).is_none())
            .map(|(_, state)| state.as_slice())
            .collect();
        let loaded = forms::load(&self.form, &self.older, &stored, operator).map_err(|error| backing.explain(error))?;
        let groups: Vec<u32> = found.iter().map(|(key, _)| self.groups.group_of(key)).collect();
        self.resize(self.groups.len());
        let is_new = |group: &u32| *group as usize >= known;
        let new: Vec<u32> = groups.iter().copied().filter(is_new).collect();
        self.put(&new, loaded)?;
        Ok(groups.into_iter().map(|group| (group, is_new(&group))).collect())
    }
}
