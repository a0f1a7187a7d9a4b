//! A fold goes on with the groups of another: those of the operator that it replaces.

use super::forms::{Fit, MIGRATE_ROWS, fit, migrate};
use super::{Fold, FoldError, States};
use crate::checkpoint::StateForm;
use crate::operator::Operator;

impl Fold {
    /// Takes over the groups of the fold that this one replaces, after that one's last seal; every group is to become rows again,
    /// since a new operator may show the same states otherwise. Answers what is left of the other fold: dropping it may take a
    /// while. Else gives it back whole, with a sentence that says why.
    ///
    /// States of another version are migrated: those in memory that aren't committed at once, the others as they come back from the
    /// store.
    pub fn adopt(&mut self, other: Fold, operator: &mut dyn Operator) -> Result<Option<Fold>, (Box<Fold>, String)> {
        let fits = std::iter::once(&other.form).chain(&other.older).map(|form| fit(&self.form, form));
        let mut fits = match fits.collect::<Result<Vec<_>, _>>() {
            Ok(fits) => fits.into_iter(),
            Err(difference) => return Err((Box::new(other), difference)),
        };
        if fits.next() == Some(Fit::Same) {
            *self = Fold { plan: self.plan.clone(), ..other };
            self.touch_all();
            return Ok(None);
        }
        let left = self.adopt_migrated(other, operator)?;
        self.touch_all();
        Ok(Some(left))
    }

    fn adopt_migrated(&mut self, mut other: Fold, operator: &mut dyn Operator) -> Result<Fold, (Box<Fold>, String)> {
        // Groups of windows never leave memory, and their numbers are in the timers.
        other.compact(1);
        let all = other.windowed.is_some();
        let committed = other.committed;
        let stays = |group: &u32| {
            let mark = other.marks[*group as usize];
            all || mark.unstored || mark.sealed > committed
        };
        let kept: Vec<u32> = (0u32..).take(other.groups.len()).filter(stays).collect();
        let states = match self.migrated(&other, &kept, operator) {
            Ok(states) => states,
            Err(error) => return Err((Box::new(other), error.to_string())),
        };
        self.groups = other.groups.only(&kept);
        self.states = states;
        self.marks = kept.iter().map(|group| super::Mark { older: true, ..other.marks[*group as usize] }).collect();
        self.batch.place.resize(kept.len(), (0, 0));
        self.relist();
        self.set_older(&[std::slice::from_ref(&other.form), &other.older].concat());
        (self.keeping, self.committed, self.now) = (other.keeping, other.committed, other.now);
        (self.on_trial, self.windowed) = (other.on_trial, other.windowed.take());
        self.backing = other.backing.take();
        if let Some(backing) = self.backing.as_mut().filter(|_| !all) {
            backing.complete = false;
        }
        Ok(other)
    }

    /// The states of these groups of another fold, in this one's form.
    fn migrated(&self, other: &Fold, kept: &[u32], operator: &mut dyn Operator) -> Result<States, FoldError> {
        let mut states = States::new(&self.form.columns);
        states.resize(kept.len());
        let mut first = 0;
        for groups in kept.chunks(MIGRATE_ROWS) {
            let before = other.states.gather(groups);
            let after = migrate(&self.form, &other.form, groups.len(), &before, operator)?;
            let places: Vec<u32> = (first..).take(groups.len()).collect();
            // The answer has the planned columns.
            let _ = states.scatter(&places, &after);
            first += u32::try_from(groups.len()).unwrap_or(u32::MAX);
        }
        Ok(states)
    }

    /// Says in which forms states are stored.
    pub fn set_older(&mut self, stored: &[StateForm]) {
        self.older = stored.iter().filter(|form| form.version != self.form.version).cloned().collect();
        self.older.sort_by_key(|form| form.version);
        self.older.dedup_by_key(|form| form.version);
    }

    /// The older forms that stored states may have.
    pub fn older(&self) -> &[StateForm] {
        &self.older
    }

    /// From now on states that change are not handed over for the store: see [`Fold::seal`].
    pub fn begin_trial(&mut self) {
        self.on_trial = true;
    }

    /// What changed since the trial began is handed over with the next seal.
    pub fn end_trial(&mut self) {
        self.on_trial = false;
        for group in std::mem::take(&mut self.held) {
            self.marks[group as usize].held = false;
            // One that was dropped meanwhile has nothing to be stored.
            if self.marks[group as usize].unstored {
                self.change(group, false, true);
            }
        }
    }
}
