//! A pipeline's way from records to rows: decode, steps, fold.
//!
//! A chain is a function of its records, its operators' answers and its lookups' answers. It runs in one thread, keeps the
//! fold's groups, and knows nothing of sources and time, and of sinks just what their tables take.

mod adopt;
mod answer;
mod halving;
mod join;
mod needs;
mod transform;
mod window;

use arrow_array::ArrayRef;

use crate::batch::{Batch, RowOrigins};
use crate::checkpoint::{Changes, StoreError};
use crate::constraint::Constraints;
use crate::decode::{AtFault, BadRecord, DecodeOptions, Decoded, Decoder, Note, SourceColumn};
use crate::fold::{Fold, FoldError, Sealed};
use crate::lookup::{Lookup, LookupError};
use crate::operator::{Interrupt, Operator, OperatorError, Rejection};
use crate::records::Records;
use crate::rejected::{self, RejectedRow, Stage};
use crate::rows::{Rows, shown_row};
use crate::schema::{Field, Kind};
use crate::window::Unplaced;
pub use halving::{ALWAYS_AT_FAULT, joined};
use halving::{Halving, Spent};
use join::Joiner;
pub use window::FoldWindow;
use window::TimeColumn;

/// Treatment of rows whose key the lookup doesn't have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// The rows are left out.
    Inner,
    /// The lookup's columns are null.
    Left,
    /// The rows are at fault.
    Required,
}

/// A stretch of the chain.
pub enum Step {
    /// A deployed component's transform, and its fold if it is an aggregator.
    Operator {
        /// The operator's name.
        name: String,
        /// Instance of the operator, opened with the fields that come before this step.
        instance: Box<dyn Operator>,
    },
    /// Facts joined by key.
    Lookup {
        /// The column that holds the key: text, or an int64 that is looked up as decimal text.
        key: usize,
        /// The columns that are added.
        columns: Vec<Field>,
        /// Treatment of rows whose key is missing.
        join: Join,
        /// Lookup that answers.
        lookup: Box<dyn Lookup>,
    },
}

impl Step {
    /// Returns the columns after this step, given the columns before it.
    pub fn output_fields(&self, input: &[Field]) -> Vec<Field> {
        match self {
            Step::Operator { instance, .. } => instance.transform_plan().output_fields(input),
            Step::Lookup { columns, .. } => input.iter().chain(columns).cloned().collect(),
        }
    }

    fn folds(&self) -> bool {
        matches!(self, Step::Operator { instance, .. } if instance.fold_plan().is_some())
    }
}

/// Reason why steps don't make a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// An aggregator ends the chain.
    #[error("step {step}: an aggregator must be the last step")]
    AggregatorNotLast {
        /// Index of the step, from 0.
        step: usize,
    },
    /// Lookup keys are texts or integers.
    #[error("step {step}: the lookup's key `{key}` must be an int64 or utf8 column that exists")]
    LookupKey {
        /// Index of the step, from 0.
        step: usize,
        /// The column's name and kind.
        key: String,
    },
    /// A plan points outside the columns that there are.
    #[error("step {step}: the plan names columns that don't exist")]
    Plan {
        /// Index of the step, from 0.
        step: usize,
    },
    /// The fold can't have this window.
    #[error("step {step}: {reason}")]
    Window {
        /// Index of the step, from 0.
        step: usize,
        /// Reason why it can't.
        reason: String,
    },
}

/// Reason why records could not be processed. The chain's groups are as before the call.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// An operator is at fault.
    #[error("operator `{name}`: {error}")]
    Operator {
        /// Name of the operator or lookup.
        name: String,
        /// Failure of the operator.
        error: OperatorError,
    },
    /// The states have no answer; if the store says that it is unavailable, the same call may be made again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The fold reached a bound of the host.
    #[error(transparent)]
    Fold(FoldError),
    /// A lookup has no answer; if it says that it is unavailable, the same call may be made again.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl ProcessError {
    /// Returns true if an operator is at fault, whatever the records: it is to be disabled.
    pub fn is_the_operators(&self) -> bool {
        matches!(self, ProcessError::Operator { .. }) && !self.is_interrupted()
    }

    /// Returns true if a call was ended early because the pipeline is to end.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, ProcessError::Operator { error: OperatorError::Interrupted, .. })
    }
}

/// Rows for the sinks, with the record of each.
#[derive(Debug, Clone)]
pub struct OutputRows {
    /// Rows with the columns of [`Chain::output_fields`], in that order.
    pub rows: Rows,
    /// The record of each row.
    pub origins: RowOrigins,
}

/// The part of a chain that a flush takes over.
#[derive(Debug, Default)]
pub struct SealedRows {
    /// The changed groups as rows that the tables take.
    pub rows: Vec<Rows>,
    /// The groups that the tables don't take: their keys as people read them, and the reasons.
    pub refused: Vec<(String, String)>,
    /// The changed groups' states, and the groups that are dropped.
    pub changes: Changes,
}

/// Result of one call.
#[derive(Debug)]
pub struct Outcome {
    /// The rows of a chain without a fold.
    pub output: Option<OutputRows>,
    /// Records that were left out because a row of them is at fault: each once, in their order.
    pub rejected: Vec<RejectedRow>,
    /// The first record that is not yet processed.
    pub next: usize,
    /// Records that were left out because of `ignore_parse_errors` or have no row, and values that were dropped, by reason.
    pub notes: Vec<Note>,
    /// Rows that came after the end of one of their windows, whatever became of them.
    pub late: usize,
    /// The record that ended the call early; `next` points at it.
    pub stopped: Option<BadRecord>,
}

/// Decode, steps, fold.
pub struct Chain {
    decoder: Decoder,
    steps: Vec<StepState>,
    fold: Option<Fold>,
    /// Column of the rows' times, for a fold with windows.
    time: Option<TimeColumn>,
    output_fields: Vec<Field>,
    /// The constraints of the tables, which are the last stage.
    constraints: Constraints,
    when_bad: WhenBad,
    on_trial: bool,
}

/// Treatment of records that can't be decoded, and of records with a row at fault.
#[derive(Debug, Clone, Copy)]
struct WhenBad {
    record: AtFault,
    row: AtFault,
}

impl WhenBad {
    /// Policy that leaves out both bad records and bad rows, and stops for neither.
    const LENIENT: WhenBad = WhenBad { record: AtFault::IsLeftOut, row: AtFault::IsLeftOut };
}

/// Result of a try.
enum Attempt {
    Done(Outcome),
    /// The record stops the pipeline. Nothing of the batch was kept.
    StoppedBy(RejectedRow),
}

/// Result of a batch at the end of the chain.
enum ChainEnd {
    Output(Option<OutputRows>),
    /// The rows are at fault, whatever the other rows are. Nothing of the batch was kept.
    AtFault(Vec<RejectedRow>),
    /// The rows fit into no window, provided that all other rows are accepted. Nothing of the batch was kept.
    Unplaced(Vec<RejectedRow>),
}

struct StepState {
    step: Step,
    joiner: Joiner,
    /// True for each output column of the step that a later step or a sink reads.
    needed: Vec<bool>,
    /// Input column that is carried past the step: it follows the step's outputs.
    carried: Option<usize>,
}

impl Chain {
    /// Puts steps together; columns that no step and no sink reads are never decoded.
    pub fn new(source: &[SourceColumn], decode: DecodeOptions, steps: Vec<Step>) -> Result<Chain, ChainError> {
        Chain::windowed(source, decode, steps, None)
    }

    /// Makes a chain as [`Chain::new`] does, with windows for the last step's fold.
    pub fn windowed(
        source: &[SourceColumn],
        decode: DecodeOptions,
        steps: Vec<Step>,
        window: Option<&FoldWindow>,
    ) -> Result<Chain, ChainError> {
        let mut fields: Vec<Vec<Field>> = vec![source.iter().map(|column| column.field.clone()).collect()];
        for (index, step) in steps.iter().enumerate() {
            let input = &fields[index];
            check(index, step, input, index + 1 == steps.len())?;
            fields.push(step.output_fields(input));
        }
        let last = fields.pop().unwrap_or_default();
        let step = steps.len().saturating_sub(1);
        let misfit = |reason| ChainError::Window { step, reason };
        let fold = window::windowed(fold_of(&steps, &last)?, window).map_err(misfit)?;
        let input = fields.last().map_or(&[][..], Vec::as_slice);
        let time = window.map(|window| TimeColumn::find(window, &last, input)).transpose().map_err(misfit)?;
        let (mut needed, mut carried) =
            (needs::of_result(&steps, last.len(), time), time.and_then(|time| time.carried));
        let mut states = Vec::with_capacity(steps.len());
        for (step, input) in steps.into_iter().zip(&fields).rev() {
            let before = needs::before(&step, &needed, input.len(), carried);
            states.push(StepState { step, joiner: Joiner::default(), needed, carried: carried.take() });
            needed = before;
        }
        states.reverse();
        let output_fields = fold.as_ref().map_or(last, Fold::output_fields);
        Ok(Chain {
            decoder: Decoder::new(source, &needed, decode),
            steps: states,
            fold,
            time,
            output_fields,
            constraints: Constraints::default(),
            when_bad: WhenBad { record: AtFault::Stops, row: AtFault::IsLeftOut },
            on_trial: false,
        })
    }

    /// Sets how records that can't be decoded, and records with a row at fault, are treated from now on. By default the former
    /// stop the pipeline and the latter are left out.
    pub fn when_bad(&mut self, record: AtFault, row: AtFault) {
        self.when_bad = WhenBad { record, row };
    }

    /// Makes the operators' calls end when `interrupt` is raised.
    pub fn interrupted_by(&mut self, interrupt: &Interrupt) {
        for state in &mut self.steps {
            if let Step::Operator { instance, .. } = &mut state.step {
                instance.interrupted_by(interrupt);
            }
        }
    }

    /// The operator at this place of the chain.
    pub fn operator(&self, stage: Stage) -> Option<&str> {
        let Stage::Step(index) = stage else { return None };
        match &self.steps.get(index)?.step {
            Step::Operator { name, .. } => Some(name),
            Step::Lookup { .. } => None,
        }
    }

    /// Sets the constraints of the tables: a row that they don't take is at fault from now on.
    pub fn constrain(&mut self, constraints: Constraints) {
        self.constraints = constraints;
    }

    /// The columns that go to the sinks.
    pub fn output_fields(&self) -> &[Field] {
        &self.output_fields
    }

    /// The fold's groups, if the chain ends in an aggregator.
    pub fn fold(&self) -> Option<&Fold> {
        self.fold.as_ref()
    }

    /// Takes records from `start` on through all steps, at most `max_rows` of them; rows that reach the end are added
    /// to the fold, or answered. A record at fault leaves nothing behind; if it stops, the call ends before it.
    pub fn process(&mut self, records: &dyn Records, start: usize, max_rows: usize) -> Result<Outcome, ProcessError> {
        self.process_as(records, start, max_rows, self.when_bad)
    }

    /// Does the same as [`Chain::process`]; whatever is at fault is left out, and nothing stops.
    pub fn process_leniently(
        &mut self,
        records: &dyn Records,
        start: usize,
        max_rows: usize,
    ) -> Result<Outcome, ProcessError> {
        self.process_as(records, start, max_rows, WhenBad::LENIENT)
    }

    fn process_as(
        &mut self,
        records: &dyn Records,
        start: usize,
        max_rows: usize,
        when_bad: WhenBad,
    ) -> Result<Outcome, ProcessError> {
        let mut spent = Spent::nothing(self.on_trial);
        let (mut max_rows, mut stopped) = (max_rows, None);
        loop {
            match self.attempt(records, (start, max_rows), when_bad, &mut spent)? {
                Attempt::Done(outcome) => return Ok(Outcome { stopped: stopped.or(outcome.stopped), ..outcome }),
                // Again, as if the records had ended there.
                Attempt::StoppedBy(bad) => {
                    max_rows = bad.record - start;
                    stopped = Some(BadRecord::rejected(records, bad));
                }
            }
        }
    }

    fn attempt(
        &mut self,
        records: &dyn Records,
        (start, max_rows): (usize, usize),
        when_bad: WhenBad,
        spent: &mut Spent,
    ) -> Result<Attempt, ProcessError> {
        let Decoded { mut batch, next, notes, mut rejected, stopped, .. } =
            self.decoder.decode_as(records, start, max_rows, when_bad.record);
        for (index, state) in self.steps.iter_mut().enumerate() {
            if batch.rows == 0 {
                break;
            }
            batch = state.apply(index, batch, &mut rejected, spent)?;
        }
        let whole = batch;
        let (mut late, mut unplaced) = (0, Vec::new());
        let output = loop {
            rejected::one_for_each_record(&mut rejected);
            let at_fault = |rejected: &&RejectedRow| rejected.stage != Stage::Decode;
            if when_bad.row == AtFault::Stops
                && let Some(first) = rejected.iter().chain(&unplaced).filter(at_fault).min_by_key(|bad| bad.record)
            {
                return Ok(Attempt::StoppedBy(first.clone()));
            }
            let batch = rejected::without_rejected(whole.clone(), &rejected);
            let batch = rejected::without_rejected(batch, &unplaced);
            match self.end(records, &batch, &mut late, spent)? {
                ChainEnd::Output(output) => break output,
                ChainEnd::Unplaced(more) => unplaced.extend(more),
                ChainEnd::AtFault(more) => {
                    rejected.extend(more);
                    // They have not moved time: what was late by their time alone is not.
                    (late, unplaced) = (0, Vec::new());
                }
            }
        };
        rejected.extend(unplaced);
        rejected::one_for_each_record(&mut rejected);
        Ok(Attempt::Done(Outcome { output, rejected, next, notes, late, stopped }))
    }

    /// Gives access to the fold, for the caller that keeps its groups.
    pub fn fold_mut(&mut self) -> Option<&mut Fold> {
        self.fold.as_mut()
    }

    /// The groups that changed since the last call, as rows of [`Chain::output_fields`] and as changes of the checkpoint: see
    /// [`Fold::seal`]. Nothing for a chain without a fold.
    pub fn seal(&mut self, flush: u64) -> Result<SealedRows, ProcessError> {
        let (Some(fold), Some(StepState { step: Step::Operator { name, instance }, .. })) =
            (&mut self.fold, self.steps.last_mut())
        else {
            return Ok(SealedRows::default());
        };
        let Sealed { emitted, changes } =
            fold.seal(instance.as_mut(), flush).map_err(|error| fold_error(name, error))?;
        let keys = fold.form().keys.len();
        let mut sealed = SealedRows { changes, ..SealedRows::default() };
        for rows in emitted {
            let refused = self.constraints.refused(&rows.columns);
            if refused.is_empty() {
                sealed.rows.push(rows);
                continue;
            }
            let key = |row: usize| shown_row(&rows.columns[..keys.min(rows.columns.len())], row);
            sealed.refused.extend(refused.iter().map(|refused| (key(refused.row), refused.reason.clone())));
            let taken = rows.without(refused.iter().map(|refused| refused.row));
            let misfit = |reason| ProcessError::Fold(FoldError::Operator(OperatorError::Contract(reason)));
            sealed.rows.push(taken.map_err(misfit)?.0);
        }
        Ok(sealed)
    }

    /// Adds the rows to the fold, or answers them; or finds some at fault, and has added none. Counts those that are late.
    fn end(
        &mut self,
        records: &dyn Records,
        batch: &Batch,
        late: &mut usize,
        spent: &mut Spent,
    ) -> Result<ChainEnd, ProcessError> {
        if batch.rows == 0 {
            return Ok(ChainEnd::Output(None));
        }
        if self.fold.is_some() {
            return self.end_in_fold(records, batch, late, spent);
        }
        // Without a fold every column of the result is needed, so that none is missing here.
        let columns: Vec<ArrayRef> = batch.columns.iter().flatten().cloned().collect();
        let refused = self.constraints.refused(&columns);
        if !refused.is_empty() {
            let rejected = refused.into_iter().map(|refused| RejectedRow {
                record: batch.origins.record(refused.row),
                stage: Stage::Sink,
                reason: refused.reason,
            });
            return Ok(ChainEnd::AtFault(rejected.collect()));
        }
        let rows = Rows { rows: batch.rows, columns };
        Ok(ChainEnd::Output(Some(OutputRows { rows, origins: batch.origins.clone() })))
    }

    /// Adds the rows to the groups of the fold; does nothing without one.
    fn end_in_fold(
        &mut self,
        records: &dyn Records,
        batch: &Batch,
        late: &mut usize,
        spent: &mut Spent,
    ) -> Result<ChainEnd, ProcessError> {
        let last = self.steps.len().saturating_sub(1);
        let (Some(fold), Some(StepState { step: Step::Operator { name, instance }, .. })) =
            (&mut self.fold, self.steps.last_mut())
        else {
            return Ok(ChainEnd::Output(None));
        };
        let at_fault = |error| fold_error(name, error);
        let placed = match self.time {
            Some(time) => time.place(fold, records, batch).map_err(|error| at_fault(error.into()))?,
            None => None,
        };
        if let Some(placed) = placed.as_ref().filter(|placed| !placed.unplaced.is_empty()) {
            // What has no place doesn't move time: the others are placed as if it hadn't been there.
            *late += placed.unplaced.iter().filter(|(_, reason)| *reason == Unplaced::Late).count();
            return Ok(ChainEnd::Unplaced(window::rejected(placed, batch, last).collect()));
        }
        let places = placed.as_ref().map(|placed| (placed.rows.clone(), placed.late));
        let mut operator = Halving::new(instance.as_mut(), spent);
        let added = match placed {
            Some(placed) => fold.accumulate_placed(&mut operator, &batch.columns, placed),
            None => fold.accumulate(&mut operator, batch.rows, &batch.columns),
        };
        match added {
            Ok(()) => {
                *late += places.map_or(0, |(_, late)| late);
                Ok(ChainEnd::Output(None))
            }
            Err(FoldError::Operator(OperatorError::Rows(rows))) => {
                // A row that counts in several windows is several rows to the fold.
                let row = |row: u32| places.as_ref().map_or(row, |(places, _)| places[row as usize]);
                let rejected = rows.into_iter().map(|rejection| {
                    let rejection = Rejection { row: row(rejection.row), ..rejection };
                    transform::rejected_row(rejection, &batch.origins, last)
                });
                Ok(ChainEnd::AtFault(rejected.collect()))
            }
            Err(error) => Err(at_fault(error)),
        }
    }
}

impl StepState {
    fn apply(
        &mut self,
        index: usize,
        batch: Batch,
        rejected: &mut Vec<RejectedRow>,
        spent: &mut Spent,
    ) -> Result<Batch, ProcessError> {
        match &mut self.step {
            Step::Operator { name, instance } => {
                let mut operator = Halving::new(instance.as_mut(), spent);
                transform::apply(&mut operator, index, batch, (&self.needed, self.carried), rejected)
                    .map_err(|error| ProcessError::Operator { name: name.clone(), error })
            }
            Step::Lookup { key, columns, join, lookup } => {
                let at_fault = |record, reason: &str| {
                    rejected.push(RejectedRow { record, stage: Stage::Step(index), reason: reason.to_owned() });
                };
                Ok(self.joiner.apply(lookup.as_mut(), *key, columns, *join, batch, at_fault)?)
            }
        }
    }
}

fn fold_error(name: &str, error: FoldError) -> ProcessError {
    match error {
        FoldError::Operator(error) => ProcessError::Operator { name: name.to_owned(), error },
        FoldError::Store(error) => ProcessError::Store(error),
        error @ FoldError::Windows { .. } => ProcessError::Fold(error),
    }
}

/// The fold of the last step, if it is an aggregator's.
fn fold_of(steps: &[Step], fields: &[Field]) -> Result<Option<Fold>, ChainError> {
    let Some(Step::Operator { instance, .. }) = steps.last() else { return Ok(None) };
    let Some(plan) = instance.fold_plan() else { return Ok(None) };
    let fold = Fold::new(plan.clone(), fields);
    fold.map(Some).ok_or(ChainError::Plan { step: steps.len().saturating_sub(1) })
}

/// The columns, for messages.
fn list(fields: &[Field]) -> String {
    fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn check(index: usize, step: &Step, input: &[Field], last: bool) -> Result<(), ChainError> {
    if step.folds() && !last {
        return Err(ChainError::AggregatorNotLast { step: index });
    }
    match step {
        Step::Operator { instance, .. } => {
            let plan = instance.transform_plan();
            needs::within(plan, input.len()).then_some(()).ok_or(ChainError::Plan { step: index })
        }
        Step::Lookup { key, .. } => match input.get(*key) {
            Some(field) if matches!(field.kind, Kind::Int64 | Kind::Utf8) => Ok(()),
            field => {
                Err(ChainError::LookupKey { step: index, key: field.map_or_else(String::new, ToString::to_string) })
            }
        },
    }
}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;
