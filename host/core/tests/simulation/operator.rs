//! The operators of the simulation, natively: a sum for each key, and rows as they are.
//!
//! The state of version n is the sum, n times.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{ArrayRef, Int64Array};
use fastrand::Rng;
use sluice_core::chain::{Chain, FoldWindow, Step};
use sluice_core::constraint::{Constraint, Constraints};
use sluice_core::decode::{AtFault, DecodeOptions, Origin, SourceColumn};
use sluice_core::deploy::Operators;
use sluice_core::operator::{Columns, FoldPlan, Operator, OperatorError, Produced, Rejection, TransformPlan};
use sluice_core::{Field, Kind};

use crate::dimension::Dimension;
use crate::shape::Pipeline;
use crate::world::UNFIT;

/// An operator of the simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The version of its states.
    pub number: u32,
    pub habit: Habit,
}

/// Habit of an operator: what it does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// The operator adds them.
    Good,
    /// The operator refuses some, and adds the others.
    Picky,
    /// The operator adds them twice, which only a person sees.
    Doubles,
    /// The operator traps.
    Traps,
}

impl Version {
    pub const FIRST: Version = Version { number: 1, habit: Habit::Good };

    /// Returns any version that may be deployed. Versions that do harm come only where a trial goes on until it shows: not without trials,
    /// not where a run that ends ends its trial, and not where a trial ends as there is no memory to hold more.
    pub fn any(rng: &mut Rng, pipeline: Pipeline, watched: bool) -> Version {
        let trials = !pipeline.transaction && !pipeline.ends;
        let habit = match rng.u8(0..8) {
            0 if trials && watched => Habit::Doubles,
            1 if trials && watched => Habit::Traps,
            2..4 if !pipeline.steady => Habit::Picky,
            _ => Habit::Good,
        };
        Version { number: rng.u32(1..=3), habit }
    }

    /// Says whether the version may stay.
    pub fn is_good(self) -> bool {
        matches!(self.habit, Habit::Good | Habit::Picky)
    }

    /// Says whether the version takes a row of this value.
    pub fn takes(self, value: i64) -> bool {
        self.habit != Habit::Picky || value % 10 != 7
    }

    /// Returns the version as a host knows it: by the digest of its file.
    pub fn operators(self) -> Operators {
        let Version { number, habit } = self;
        Operators::from([("sum".to_owned(), format!("{number} {habit:?}"))])
    }

    /// The version that these are.
    pub fn of(operators: &Operators) -> Option<Version> {
        let (number, habit) = operators.get("sum")?.split_once(' ')?;
        let habits = [Habit::Good, Habit::Picky, Habit::Doubles, Habit::Traps];
        let habit = habits.into_iter().find(|known| format!("{known:?}") == habit)?;
        Some(Version { number: number.parse().ok()?, habit })
    }
}

struct Sum {
    transform: TransformPlan,
    fold: FoldPlan,
    version: Version,
}

/// A chain from `{"k": …, "v": …}` to the sum of `v` for each `k`, of each window if there are any, or without a fold to the
/// rows as they are.
pub fn chain(pipeline: Pipeline, version: Version, dimension: &Dimension, at_fault: AtFault) -> Chain {
    let column = |name: &str, kind, origin| SourceColumn { field: Field::new(name, kind), origin };
    let number = |name: &str| column(name, Kind::Int64, Origin::Field(name.to_owned()));
    let mut columns = vec![number("k"), number("v")];
    let mut steps = Vec::new();
    if let Some(join) = pipeline.join {
        let (columns, lookup) = (vec![Field::new("name", Kind::Utf8)], Box::new(dimension.clone()));
        steps.push(Step::Lookup { key: 0, columns, join, lookup });
    }
    if pipeline.shape.folds() {
        steps.push(Step::Operator { name: "sum".to_owned(), instance: Box::new(sum(version)) });
    }
    let window = pipeline.shape.windows().map(|options| FoldWindow { time: "t".to_owned(), options });
    if window.is_some() {
        columns.push(column("t", Kind::Timestamp, Origin::Timestamp));
    }
    let mut chain = Chain::windowed(&columns, DecodeOptions::default(), steps, window.as_ref()).unwrap();
    // A time beyond the calendar is at fault before any window looks at it.
    chain.when_bad(at_fault, at_fault);
    if !pipeline.shape.folds() {
        let value = Constraint { range: Some((i64::MIN, UNFIT - 1)), ..Constraint::ANY };
        let columns = [Constraint::ANY, value, Constraint::ANY];
        let output = chain.output_fields();
        chain.constrain(Constraints::new(output, &[&columns[..output.len()]]));
    }
    chain
}

fn sum(version: Version) -> Sum {
    let through = |name: &str, i| (name.to_owned(), sluice_core::operator::Origin::Input(i));
    let transform = TransformPlan { reads: vec![], outputs: vec![through("k", 0), through("v", 1)] };
    let field = Field::new("sum", Kind::Int64);
    let fold = FoldPlan {
        keys: vec![0],
        values: vec![1],
        state: vec![field.clone()],
        state_version: version.number,
        outputs: vec![field],
    };
    Sum { transform, fold, version }
}

impl Operator for Sum {
    fn transform_plan(&self) -> &TransformPlan {
        &self.transform
    }
    fn fold_plan(&self) -> Option<&FoldPlan> {
        Some(&self.fold)
    }
    fn process(&mut self, _: Columns<'_>) -> Result<Produced, OperatorError> {
        Err(OperatorError::Refused("nothing is computed".to_owned()))
    }
    fn accumulate(
        &mut self,
        groups: &[i32],
        values: Columns<'_>,
        states: Columns<'_>,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let values = values.arrays[0].as_primitive::<Int64Type>();
        if self.version.habit == Habit::Traps {
            return Err(OperatorError::Trap("unreachable".to_owned()));
        }
        let refused = (0u32..).zip(values).filter(|(_, value)| !self.version.takes(value.unwrap_or_default()));
        let refused = refused.map(|(row, _)| Rejection { row, reason: "a seven".to_owned() });
        let refused: Vec<Rejection> = refused.collect();
        if !refused.is_empty() {
            return Err(OperatorError::Rows(refused));
        }
        let mut sums: Vec<i64> =
            states.arrays[0].as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default).collect();
        for (group, value) in groups.iter().zip(values) {
            let times = i64::from(self.fold.state_version) * if self.version.habit == Habit::Doubles { 2 } else { 1 };
            sums[usize::try_from(*group).unwrap()] += times * value.unwrap_or_default();
        }
        Ok(vec![Arc::new(Int64Array::from(sums))])
    }
    fn merge(&mut self, left: Columns<'_>, right: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        let [left, right] = [left, right].map(|states| states.arrays[0].as_primitive::<Int64Type>());
        let sum = |(left, right): (Option<i64>, Option<i64>)| left.unwrap_or_default() + right.unwrap_or_default();
        Ok(vec![Arc::new(Int64Array::from_iter_values(left.iter().zip(right).map(sum)))])
    }
    fn emit(&mut self, states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        Ok(vec![self.times(states.arrays, 1, i64::from(self.fold.state_version))])
    }
    fn migrate(&mut self, version: u32, _: &[Field], states: Columns<'_>) -> Result<Vec<ArrayRef>, OperatorError> {
        Ok(vec![self.times(states.arrays, i64::from(self.fold.state_version), i64::from(version))])
    }
}

impl Sum {
    fn times(&self, states: &[ArrayRef], multiplied: i64, divided: i64) -> ArrayRef {
        let sums = states[0].as_primitive::<Int64Type>().iter();
        Arc::new(sums.map(|sum| sum.map(|sum| sum / divided * multiplied)).collect::<Int64Array>())
    }
}
