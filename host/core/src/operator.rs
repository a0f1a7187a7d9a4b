//! Interface between the chain and an operator's instance, in Arrow's terms: `wit/transform.wit` and `wit/fold.wit`, after
//! validation of every buffer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::ArrayRef;

use crate::schema::{Field, Kind};

/// Origin of an output column of a transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The input column of this index, as it is.
    Input(usize),
    /// Computed by `process`.
    Computed(Kind),
}

impl Origin {
    /// The kind of a computed column; none for an untouched one.
    pub fn computed(self) -> Option<Kind> {
        match self {
            Origin::Computed(kind) => Some(kind),
            Origin::Input(_) => None,
        }
    }
}

/// A transform's contract, as `open` answered it. Indices are checked: they are within the input's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformPlan {
    /// The input columns that `process` is given, in this order.
    pub reads: Vec<usize>,
    /// The columns of the result, with their names.
    pub outputs: Vec<(String, Origin)>,
}

impl TransformPlan {
    /// The result's columns, given the input's.
    pub fn output_fields(&self, input: &[Field]) -> Vec<Field> {
        self.outputs
            .iter()
            .map(|(name, origin)| match origin {
                Origin::Input(i) => Field::new(name, input[*i].kind),
                Origin::Computed(kind) => Field::new(name, *kind),
            })
            .collect()
    }

    /// Returns true if `process` has an output to compute.
    pub fn computes(&self) -> bool {
        self.outputs.iter().any(|(_, origin)| matches!(origin, Origin::Computed(_)))
    }
}

/// A fold's contract, as `open` answered it. Indices are checked: they are within the transform's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldPlan {
    /// The columns that make the group key. None: one group in all.
    pub keys: Vec<usize>,
    /// The columns that `accumulate` is given, in this order.
    pub values: Vec<usize>,
    /// The columns of a state. A group not seen before has null in every one.
    pub state: Vec<Field>,
    /// Raised whenever the meaning or the columns of `state` change.
    pub state_version: u32,
    /// The columns that `emit` computes.
    pub outputs: Vec<Field>,
}

/// A row that the operator refuses, by its index in the call's input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Index of the row in the call's input.
    pub row: u32,
    /// The operator's words.
    pub reason: String,
}

/// Answer of `process`. Arrays are valid Arrow of the planned kinds and all `rows` long. The contents of `selection` and
/// `rejected` are not checked yet.
#[derive(Debug)]
pub struct Produced {
    /// The rows of the result.
    pub rows: usize,
    /// The computed columns, in the order of the plan's outputs.
    pub columns: Vec<ArrayRef>,
    /// Input row of each row of the result. None if row i of the result is input row i.
    pub selection: Option<Vec<i32>>,
    /// Input rows that the result leaves out because they are at fault.
    pub rejected: Vec<Rejection>,
}

/// Columns with their number of rows, which must be given since there may be no column.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// The rows of each column.
    pub rows: usize,
    /// The columns, in the order that the plan set.
    pub arrays: &'a [ArrayRef],
}

/// A running instance of an operator: a transform, and a fold over its result if the plan has one.
///
/// Calls come from one thread at a time, one at a time. After [`OperatorError::Refused`] the instance goes on; after any
/// other error it is spent until [`Operator::renew`].
pub trait Operator: Send {
    /// The transform's contract.
    fn transform_plan(&self) -> &TransformPlan;

    /// The fold's contract, for an aggregator.
    fn fold_plan(&self) -> Option<&FoldPlan>;

    /// Rows in, rows out; called with 1 or more rows of the columns that the plan reads.
    fn process(&mut self, input: Columns<'_>) -> Result<Produced, OperatorError>;

    /// Adds the rows of `values` to the states and returns the new states: row i belongs to row `groups[i]` of `states`. The
    /// answer has as many rows as `states`.
    fn accumulate(
        &mut self,
        groups: &[i32],
        values: Columns<'_>,
        states: Columns<'_>,
    ) -> Result<Vec<ArrayRef>, OperatorError>;

    /// Joins states row by row.
    fn merge(&mut self, left: Columns<'_>, right: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError>;

    /// The output columns of these states, row by row.
    fn emit(&mut self, states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError>;

    /// Converts states that another version of the operator stored in these columns into states of this version, row by row.
    /// [`OperatorError::Refused`] means that the operator doesn't accept them.
    fn migrate(
        &mut self,
        version: u32,
        _state: &[Field],
        _states: Columns<'_>,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        Err(OperatorError::Refused(format!("it takes no states of version {version}")))
    }

    /// Makes later calls end soon after `interrupt` is raised; they then answer [`OperatorError::Interrupted`]. An implementation
    /// whose calls are always short may ignore it.
    fn interrupted_by(&mut self, _interrupt: &Interrupt) {}

    /// Replaces this instance by a fresh one with the same contract. An implementation that is never spent may do nothing.
    fn renew(&mut self) -> Result<(), OperatorError> {
        Ok(())
    }
}

/// Failure of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// The operator itself refused.
    #[error("the operator refuses: {0}")]
    Refused(String),
    /// The call ran longer, asked for more memory, or answered more bytes than its limit allows.
    #[error("the operator exceeded its limit: {0}")]
    Limit(String),
    /// The operator trapped.
    #[error("the operator trapped: {0}")]
    Trap(String),
    /// The answer breaks the contract.
    #[error("the operator broke the contract: {0}")]
    Contract(String),
    /// The host had no memory left for the operator. Neither the operator nor a row is at fault.
    #[error("the host had no room for the operator: {0}")]
    NoRoom(String),
    /// The call was ended early, as its pipeline is to end: nobody is at fault.
    #[error("the call was ended early, as the pipeline ends")]
    Interrupted,
    /// The call failed because of these rows, each listed once, and would succeed without them.
    #[error("the operator fails on {} rows, the first because {}", .0.len(), .0.first().map_or("", |row| row.reason.as_str()))]
    Rows(Vec<Rejection>),
}

impl OperatorError {
    /// Returns true if the instance must be renewed before another call.
    pub fn spends(&self) -> bool {
        !matches!(self, OperatorError::Refused(_) | OperatorError::Rows(_))
    }
}

/// Signal that ends operators' calls: the call that is being made, and each call that begins while the signal is raised.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Calls end.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Calls are made again.
    pub fn lower(&self) {
        self.0.store(false, Ordering::Release);
    }

    /// Returns true if calls are to end.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Makes a call; one that spends the instance is made again by a fresh one, since what the old one had gathered in its life is no
/// fault of the call's.
pub fn on_a_fresh_one<T>(
    operator: &mut dyn Operator,
    call: impl Fn(&mut dyn Operator) -> Result<T, OperatorError>,
) -> Result<T, OperatorError> {
    match call(operator) {
        Err(error) if error.spends() => {
            operator.renew()?;
            call(operator)
        }
        answer => answer,
    }
}
