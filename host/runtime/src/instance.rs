//! An instance: an operator that agreed on its plan with the host, and is called with columns.
//!
//! Nothing that a guest answers leaves unchecked: lengths, kinds and counts against the plan, the bytes by
//! [`buffers`](crate::buffers). What selections and rejections say about the input's rows is the chain's to check.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::ArrayRef;
use sluice_clock::Stopwatch;
use sluice_core::operator::{Columns, FoldPlan, Interrupt, Operator, OperatorError, Produced, TransformPlan};
use sluice_core::{Field, Kind};

use crate::anatomy::World;
use crate::artifact::Artifact;
use crate::exchange::{accept_fields, accept_processed, accept_states, lend_batch, misused};
use crate::limits::Limits;
use crate::plan::{check_fold, check_transform};
use crate::running::{Running, StartError};

/// The reason why an artifact can't be opened for some input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The operator's own words about the configuration or the columns.
    #[error("the operator refuses to open: {0}")]
    Refused(String),
    /// The operator trapped on start or in `open`.
    #[error("the operator trapped in open: {0}")]
    Trap(String),
    /// The operator ran too long, or wanted too much memory.
    #[error("the operator exceeded its limit in open: {0}")]
    Limit(String),
    /// The operator answered a plan that can't be kept.
    #[error("the operator broke the contract in open: {0}")]
    Contract(String),
    /// The host has no room for another instance.
    #[error("{0}")]
    NoRoom(String),
    /// The pipeline is to end.
    #[error("the opening was ended early, as the pipeline ends")]
    Interrupted,
}

impl From<OperatorError> for OpenError {
    fn from(error: OperatorError) -> OpenError {
        match error {
            OperatorError::Refused(reason) => OpenError::Refused(reason),
            OperatorError::Trap(reason) => OpenError::Trap(reason),
            OperatorError::Limit(reason) => OpenError::Limit(reason),
            OperatorError::Contract(reason) => OpenError::Contract(reason),
            OperatorError::NoRoom(reason) => OpenError::NoRoom(reason),
            OperatorError::Interrupted => OpenError::Interrupted,
            rows @ OperatorError::Rows(_) => OpenError::Contract(rows.to_string()),
        }
    }
}

impl From<StartError> for OpenError {
    fn from(error: StartError) -> OpenError {
        match error {
            StartError::NoRoom(reason) => OpenError::NoRoom(reason),
            StartError::OtherTypes(reason) => OpenError::Contract(reason),
            StartError::Failed(error) => error.into(),
        }
    }
}

/// Listener that hears how long each call of an operator took.
pub type CallTimer = Arc<dyn Fn(Duration) + Send + Sync>;

/// A running operator. After a trap, a limit or a broken contract it is spent: its memory is gone, and each call
/// answers that first error again until [`Instance::renew`].
pub struct Instance {
    opening: Opening,
    agreed: Agreed,
    running: Result<Running, OperatorError>,
    timer: Option<CallTimer>,
}

/// The things that an instance is made from; the same again makes the same again.
struct Opening {
    artifact: Artifact,
    config: String,
    input: Vec<Field>,
    limits: Limits,
    name: String,
    interrupt: Interrupt,
}

/// The terms that `open` settled.
#[derive(Debug, PartialEq, Eq)]
struct Agreed {
    transform: TransformPlan,
    fold: Option<FoldPlan>,
    /// The kinds of the columns that `process` is given.
    reads: Vec<Kind>,
    /// The kinds of the columns that `accumulate` is given.
    values: Vec<Kind>,
}

impl Opening {
    fn open(&self) -> Result<(Running, Agreed), OpenError> {
        let artifact = self.artifact.compiled();
        let mut running = Running::start(artifact, &self.name, &self.limits, &artifact.together, &self.interrupt)?;
        let transform = running.go_on(|guest, store| guest.open_transform(store, &self.config, &self.input))?;
        check_transform(&transform, self.input.len()).map_err(OpenError::Contract)?;
        let after = transform.output_fields(&self.input);
        let fold = match self.artifact.world() {
            World::Transformer => None,
            World::Aggregator => Some(self.open_fold(&mut running, &after)?),
        };
        let kinds = |indices: &[usize], fields: &[Field]| indices.iter().map(|index| fields[*index].kind).collect();
        let reads = kinds(&transform.reads, &self.input);
        let values = fold.as_ref().map_or_else(Vec::new, |fold| kinds(&fold.values, &after));
        Ok((running, Agreed { transform, fold, reads, values }))
    }

    fn open_fold(&self, running: &mut Running, input: &[Field]) -> Result<FoldPlan, OpenError> {
        let plan = running.go_on(|guest, store| guest.open_fold(store, &self.config, input))?;
        check_fold(&plan, input).map_err(OpenError::Contract)?;
        Ok(plan)
    }
}

impl Artifact {
    /// Makes an instance and agrees with it on its plan. `config` is the pipeline's table for the operator, as JSON;
    /// `input` are the columns that come in; `name` is the operator's, for its log lines.
    ///
    /// Takes 10 µs for compiled languages to milliseconds for interpreters, and never longer than `limits.open_time`.
    pub fn open(&self, config: &str, input: &[Field], limits: &Limits, name: &str) -> Result<Instance, OpenError> {
        let (config, input, name) = (config.to_owned(), input.to_owned(), name.to_owned());
        let (artifact, limits, interrupt) = (self.clone(), limits.clone(), Interrupt::default());
        let opening = Opening { artifact, config, input, limits, name, interrupt };
        let (running, agreed) = opening.open()?;
        Ok(Instance { opening, agreed, running: Ok(running), timer: None })
    }
}

impl Instance {
    /// Puts a fresh guest in the place of the old one, spent or not: of the same artifact, with the same configuration,
    /// columns and plan. Costs what opening costs; after an error the instance is spent, and may be renewed again.
    pub fn renew(&mut self) -> Result<(), OpenError> {
        self.running = Err(OperatorError::Trap("its renewal failed".to_owned()));
        let (running, agreed) = self.opening.open()?;
        if agreed != self.agreed {
            let sentence = "open answered another plan than before to the same configuration and columns";
            return Err(OpenError::Contract(sentence.to_owned()));
        }
        self.running = Ok(running);
        Ok(())
    }

    /// Has the listener hear of each later call, also of one that fails.
    pub fn timed_by(&mut self, timer: &CallTimer) {
        self.timer = Some(Arc::clone(timer));
    }

    /// The artifact that it is an instance of.
    pub fn artifact(&self) -> &Artifact {
        &self.opening.artifact
    }

    /// Runs a call, and drops the guest if the call left it unfit for another.
    fn attempt<T>(
        &mut self,
        call: impl FnOnce(&mut Running, &Agreed) -> Result<T, OperatorError>,
    ) -> Result<T, OperatorError> {
        if self.opening.interrupt.is_raised() {
            // Of the instance this says nothing.
            return Err(OperatorError::Interrupted);
        }
        let running = self.running.as_mut().map_err(|spent| spent.clone())?;
        let begun = Stopwatch::start();
        let result = call(running, &self.agreed);
        if let Some(timer) = &self.timer {
            timer(begun.elapsed());
        }
        if let Err(error) = &result
            && error.spends()
        {
            self.running = Err(error.clone());
        }
        result
    }
}

impl Agreed {
    fn fold(&self) -> Result<&FoldPlan, OperatorError> {
        let misused = || OperatorError::Contract("it is a transformer, which has no fold".to_owned());
        self.fold.as_ref().ok_or_else(misused)
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("name", &self.opening.name)
            .field("artifact", &self.opening.artifact)
            .field("spent", &self.running.as_ref().err())
            .finish_non_exhaustive()
    }
}

impl Operator for Instance {
    fn transform_plan(&self) -> &TransformPlan {
        &self.agreed.transform
    }

    fn fold_plan(&self) -> Option<&FoldPlan> {
        self.agreed.fold.as_ref()
    }

    fn process(&mut self, input: Columns<'_>) -> Result<Produced, OperatorError> {
        self.attempt(|running, agreed| {
            let lent = lend_batch("process", input, agreed.reads.iter().copied())?;
            let processed = running.call(|guest, store| guest.process(store, &lent))?;
            accept_processed(processed, &agreed.transform, input.rows, running.limits())
        })
    }

    fn accumulate(
        &mut self,
        groups: &[i32],
        values: Columns<'_>,
        states: Columns<'_>,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        self.attempt(|running, agreed| {
            let state = &agreed.fold()?.state;
            if groups.len() != values.rows {
                return Err(misused("accumulate", &format!("{} groups for {} rows", groups.len(), values.rows)));
            }
            let lent_values = lend_batch("accumulate", values, agreed.values.iter().copied())?;
            let lent_states = lend_batch("accumulate", states, kinds_of(state))?;
            let answered = running.call(|guest, store| guest.accumulate(store, groups, &lent_values, &lent_states))?;
            accept_states("accumulate", answered, state, states.rows, running.limits())
        })
    }

    fn merge(&mut self, left: Columns<'_>, right: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        self.attempt(|running, agreed| {
            let state = &agreed.fold()?.state;
            if left.rows != right.rows {
                let what = format!("{} states on the left and {} on the right", left.rows, right.rows);
                return Err(misused("merge", &what));
            }
            let lent_left = lend_batch("merge", left, kinds_of(state))?;
            let lent_right = lend_batch("merge", right, kinds_of(state))?;
            let answered = running.call(|guest, store| guest.merge(store, &lent_left, &lent_right))?;
            accept_states("merge", answered, state, left.rows, running.limits())
        })
    }

    fn emit(&mut self, states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        self.attempt(|running, agreed| {
            let fold = agreed.fold()?;
            let lent = lend_batch("emit", states, kinds_of(&fold.state))?;
            let answered = running.call(|guest, store| guest.emit(store, &lent))?;
            accept_fields("emit", answered, &fold.outputs, states.rows)
        })
    }

    fn migrate(&mut self, version: u32, state: &[Field], states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        self.attempt(|running, agreed| {
            let lent = lend_batch("migrate", states, kinds_of(state))?;
            let answered = running.call(|guest, store| guest.migrate(store, version, state, &lent))?;
            accept_states("migrate", answered, &agreed.fold()?.state, states.rows, running.limits())
        })
    }

    fn interrupted_by(&mut self, interrupt: &Interrupt) {
        self.opening.interrupt = interrupt.clone();
        if let Ok(running) = &mut self.running {
            running.interrupted_by(interrupt);
        }
    }

    fn renew(&mut self) -> Result<(), OperatorError> {
        Instance::renew(self).map_err(|error| match error {
            OpenError::NoRoom(reason) => OperatorError::NoRoom(reason),
            OpenError::Interrupted => OperatorError::Interrupted,
            error => OperatorError::Contract(format!("it can't be opened again: {error}")),
        })
    }
}

fn kinds_of(fields: &[Field]) -> impl ExactSizeIterator<Item = Kind> {
    fields.iter().map(|field| field.kind)
}
