//! Rows into one state for each group.
//!
//! ```text
//! key columns ──Groups──▶ group of each row ─┐            ┌─▶ rows for the sinks (emit)
//! value columns ─────────────────────────────┼─▶ accumulate ─▶ States ──seal──┤
//! States of the batch's distinct groups ─────┘                   ▲            └─▶ Changes for the checkpoint
//!                                      groups not in memory ──Backing
//! ```
//!
//! The operator is called once a batch, with the states of just the groups that the batch touches. What is in memory is a
//! cache of bounded size: a group that isn't there is read from the checkpoint store, and a group whose state is committed may
//! leave at any batch boundary.

mod adopt;
mod backing;
mod closing;
mod evict;
mod forms;
mod groups;
mod joins;
mod seal;
mod states;
mod stored;
mod walk;
mod windowed;

use arrow_array::ArrayRef;

use crate::checkpoint::{StateForm, StoreError};
use crate::operator::{Columns, FoldPlan, Operator, OperatorError, Rejection};
use crate::schema::{Field, Kind};
pub use backing::Backing;
pub use forms::{Fit, fit, try_migration};
pub use groups::Groups;
pub use seal::Sealed;
pub use states::States;
pub use stored::{StoredStates, decode_states, encode_stored, stored_version};
use walk::Walk;
pub use windowed::WINDOW_COLUMNS;
use windowed::Windowed;

/// Memory that a fold may take unless it is told otherwise, in bytes. Less: groups are read from the store more often. More:
/// little is gained once the groups of some flushes fit.
pub const DEFAULT_MEMORY: usize = 256 << 20;

/// The longest key of a group, in bytes, as it is stored: the checkpoint store's tree counts them in 16 bits, and one byte is its own.
pub const MAX_KEY_BYTES: usize = 65_534;

/// Reason why a fold can't go on. Nothing of the call that failed was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The operator failed.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// The states could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The open windows take more memory than they may.
    #[error(
        "the groups of open windows take more than the {memory} bytes of `state.memory`: raise it, or choose shorter windows, \
         less lateness or a shorter `keep_for`"
    )]
    Windows {
        /// The bound.
        memory: usize,
    },
}

/// Bounds of a fold's groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// Memory that groups may take before some leave it, in bytes.
    pub memory: usize,
    /// Time without a change after which a group counts as never seen, in microseconds; with none, groups live for ever.
    pub ttl: Option<i64>,
}

impl Default for Keeping {
    fn default() -> Keeping {
        Keeping { memory: DEFAULT_MEMORY, ttl: None }
    }
}

/// The groups of a pipeline and their states. It is whole in spite of its many fields: what is known of a group is spread over columns
/// (`groups`, `states`, `marks`, `batch.place`) that number the groups alike, and every call keeps all of them in step.
pub struct Fold {
    plan: FoldPlan,
    form: StateForm,
    keeping: Keeping,
    groups: Groups,
    states: States,
    /// Marks of each group in memory.
    marks: Vec<Mark>,
    /// Groups that the next seal handles: those that are marked as listed.
    changed: Vec<u32>,
    /// Groups that a seal during a trial did not hand over for the store.
    held: Vec<u32>,
    on_trial: bool,
    /// The older forms that stored states may have.
    older: Vec<StateForm>,
    walk: Option<Walk>,
    /// The last flush whose changes are committed.
    committed: u64,
    /// The host's time, in microseconds since 1970-01-01T00:00:00 UTC.
    now: i64,
    backing: Option<Backing>,
    batch: BatchGroups,
    windowed: Option<Windowed>,
}

/// Marks of a group in memory.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// True if the group is listed in `changed`.
    listed: bool,
    /// True if the sinks' row for this group is out of date: the operator would make another one of its state.
    unshown: bool,
    /// True if rows were added since the group was sealed. Showing or storing it again makes it no younger.
    changed: bool,
    /// True if the state changed since it was last handed over for the store.
    unstored: bool,
    /// True if the group is listed in `held`.
    held: bool,
    /// True if the stored state has an older form, or had one when it was read.
    older: bool,
    /// Number of the flush that the state was handed over with; 0 if there was none since the group is in memory.
    sealed: u64,
    /// Time of the first seal after rows were added, in the host's microseconds; 0 if there was none.
    touched: i64,
    /// True if the group was dropped. Only its number remains.
    gone: bool,
}

impl Mark {
    /// The time that its state is of, once it is sealed now.
    fn touched_at(self, now: i64) -> i64 {
        if self.changed || self.touched == 0 { now } else { self.touched }
    }
}

/// The distinct groups of one batch. Buffers live as long as the fold.
#[derive(Debug, Default)]
struct BatchGroups {
    of_row: Vec<u32>,
    distinct: Vec<u32>,
    /// Index in `distinct` of each row's group.
    local: Vec<i32>,
    /// Last batch that needed each group in memory, and the group's index in that batch's `distinct`.
    place: Vec<(u64, i32)>,
    round: u64,
}

impl Fold {
    /// A fold with no groups, of an operator whose transform answers the `input` columns. None if the plan's indices are
    /// not within them.
    pub fn new(plan: FoldPlan, input: &[Field]) -> Option<Fold> {
        let keys: Vec<Field> = plan.keys.iter().map(|i| input.get(*i).cloned()).collect::<Option<_>>()?;
        let kinds: Vec<Kind> = keys.iter().map(|field| field.kind).collect();
        let states = States::new(&plan.state);
        let form = StateForm { keys, version: plan.state_version, columns: plan.state.clone(), window: None };
        Some(Fold {
            plan,
            form,
            keeping: Keeping::default(),
            groups: Groups::new(kinds),
            states,
            marks: Vec::new(),
            changed: Vec::new(),
            held: Vec::new(),
            on_trial: false,
            older: Vec::new(),
            walk: None,
            committed: 0,
            now: 0,
            backing: None,
            batch: BatchGroups::default(),
            windowed: None,
        })
    }

    /// Bounds the memory and the life of groups, and says where those are that aren't in memory. Before the first row.
    pub fn keep(&mut self, keeping: Keeping, backing: Backing) {
        self.keeping = keeping;
        self.backing = Some(backing);
    }

    /// The columns of sealed rows.
    pub fn output_fields(&self) -> Vec<Field> {
        self.form.keys.iter().chain(&self.plan.outputs).cloned().collect()
    }

    /// The form of the states.
    pub fn form(&self) -> &StateForm {
        &self.form
    }

    /// The number of groups in memory, and of those that changed since they were last sealed.
    pub fn size(&self) -> (usize, usize) {
        (self.groups.len(), self.changed.len())
    }

    /// Tells the time, in microseconds since 1970-01-01T00:00:00 UTC: a fold has no clock.
    pub fn set_time(&mut self, now: i64) {
        self.now = now;
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
        let known = self.groups.len();
        self.assign(&keys, rows, operator)
            .and_then(|()| self.add_anew(operator, rows, &values))
            .inspect_err(|_| self.forget_from(known))
    }

    /// Adds rows; groups that nobody touched for too long begin anew with them.
    fn add_anew(&mut self, operator: &mut dyn Operator, rows: usize, values: &[ArrayRef]) -> Result<(), FoldError> {
        let expired = self.expired();
        if expired.is_empty() {
            return self.add(operator, rows, values);
        }
        let before = self.states.gather(&expired);
        self.states.clear(&expired);
        self.add(operator, rows, values).inspect_err(|_| {
            // The states are of the columns that they were gathered from.
            let _ = self.states.scatter(&expired, &before);
        })
    }

    /// Adds rows to the groups that were assigned to them.
    fn add(&mut self, operator: &mut dyn Operator, rows: usize, values: &[ArrayRef]) -> Result<(), FoldError> {
        let states = self.states.gather(&self.batch.distinct);
        let before = Columns { rows: self.batch.distinct.len(), arrays: &states };
        let after = operator.accumulate(&self.batch.local, Columns { rows, arrays: values }, before)?;
        if !self.states.scatter(&self.batch.distinct, &after) {
            return Err(unplanned("accumulate", "states").into());
        }
        for index in 0..self.batch.distinct.len() {
            let group = self.batch.distinct[index];
            self.change(group, true, true);
            self.marks[group as usize].changed = true;
        }
        Ok(())
    }

    /// Counts the group as changed: its rows, its state, or both.
    fn change(&mut self, group: u32, rows: bool, state: bool) {
        let mark = &mut self.marks[group as usize];
        mark.unshown |= rows;
        mark.unstored |= state;
        if !std::mem::replace(&mut mark.listed, true) {
            self.changed.push(group);
        }
    }

    /// Finds the group of each row, with its state in memory.
    fn assign(&mut self, keys: &[ArrayRef], rows: usize, operator: &mut dyn Operator) -> Result<(), FoldError> {
        let known = self.groups.len();
        self.groups
            .assign(keys, rows, &mut self.batch.of_row)
            .ok_or_else(|| OperatorError::Contract("a key column is of no kind that can be grouped".to_owned()))?;
        self.check_keys(known)?;
        self.admit(known, operator)?;
        self.batch.localize();
        Ok(())
    }

    /// Refuses the rows whose group, one from this number on, has a key that can't be stored. A known group's can.
    fn check_keys(&self, known: usize) -> Result<(), OperatorError> {
        let bytes = |group: u32| self.groups.key(group).len();
        let too_long = |group: &u32| *group as usize >= known && bytes(*group) > MAX_KEY_BYTES;
        if !(known..self.groups.len()).any(|group| u32::try_from(group).is_ok_and(|group| too_long(&group))) {
            return Ok(());
        }
        let rows = (0u32..).zip(&self.batch.of_row).filter(|(_, group)| too_long(group));
        let rejection = |(row, group): (u32, &u32)| Rejection {
            row,
            reason: format!("the key of its group takes {} bytes, and a key may take {MAX_KEY_BYTES}", bytes(*group)),
        };
        Err(OperatorError::Rows(rows.map(rejection).collect()))
    }

    /// Reads the states of the groups from this number on; without an answer they are as if they had never come.
    fn admit(&mut self, known: usize, operator: &mut dyn Operator) -> Result<(), FoldError> {
        self.resize(self.groups.len());
        self.load(known, operator).inspect_err(|_| self.forget_from(known))
    }

    /// Forgets the groups from this number on, which only a failed call had brought.
    fn forget_from(&mut self, known: usize) {
        self.groups.truncate(known);
        self.resize(known);
    }

    /// Gives each group its places, or takes the last away.
    fn resize(&mut self, groups: usize) {
        self.states.resize(groups);
        self.marks.resize(groups, Mark::default());
        self.batch.place.resize(groups, (0, 0));
    }

    /// Returns the groups of this batch that were not touched for too long. A group that was never sealed is new.
    fn expired(&self) -> Vec<u32> {
        if self.keeping.ttl.is_none() {
            return Vec::new();
        }
        self.batch.distinct.iter().copied().filter(|group| self.is_expired(*group)).collect()
    }

    /// Returns true if nobody touched the group for too long. It may be in the store no more.
    fn is_expired(&self, group: u32) -> bool {
        let mark = self.marks[group as usize];
        let limit = self.keeping.ttl.map(|ttl| self.now.saturating_sub(ttl));
        limit.is_some_and(|limit| !mark.changed && mark.touched != 0 && mark.touched < limit)
    }
}

impl BatchGroups {
    /// Numbers the groups of this batch from 0, in the order in which they come.
    fn localize(&mut self) {
        self.round += 1;
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
mod memory_tests;
#[cfg(test)]
mod swap_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod window_tests;
