//! The operator that tests of several modules fold with, natively.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, StringArray};

use crate::operator::{Columns, FoldPlan, Operator, OperatorError, Origin, Produced, TransformPlan};
use crate::schema::{Field, Kind};

type Answer<T> = Result<T, OperatorError>;

/// Call that a test can answer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Accumulate,
    Emit,
    Migrate,
}

/// Hook that answers a call in the operator's place, unless it returns nothing.
type Hook = Box<dyn FnMut(Call, Columns<'_>) -> Answer<Option<Vec<ArrayRef>>> + Send>;

/// Operator that adds up, for each group, the first of its values; null is 0. A sum that is too large is refused.
///
/// Its state is the sum, in version 2 twice the sum, in version 3 the sum as text. Each of its outputs is the sum. Of each
/// call it asserts what the host owes to any operator.
pub(crate) struct Sum {
    pub(crate) transform: TransformPlan,
    pub(crate) fold: FoldPlan,
    /// True if the operator takes over states of the versions before its own; otherwise it takes over none.
    pub(crate) migrates: bool,
    /// True if the operator merges states; otherwise the test fails if it is asked to.
    pub(crate) merges: bool,
    pub(crate) hook: Hook,
}

impl Sum {
    /// An operator of version 1 on these columns, some of which are keys and some values.
    pub(crate) fn new(columns: &[&str], keys: &[usize], values: &[usize]) -> Sum {
        let outputs = columns.iter().enumerate().map(|(i, name)| ((*name).to_owned(), Origin::Input(i))).collect();
        let (keys, values, sum) = (keys.to_vec(), values.to_vec(), vec![Field::new("sum", Kind::Int64)]);
        Sum {
            transform: TransformPlan { reads: vec![], outputs },
            fold: FoldPlan { keys, values, state: sum.clone(), state_version: 1, outputs: sum },
            migrates: false,
            merges: false,
            hook: Box::new(|_, _| Ok(None)),
        }
    }

    /// The same, but of this version.
    pub(crate) fn version(mut self, number: u32) -> Sum {
        let kind = if number == 3 { Kind::Utf8 } else { Kind::Int64 };
        self.fold = FoldPlan { state: vec![Field::new("sum", kind)], state_version: number, ..self.fold };
        self
    }

    /// The same, but this may answer its calls, of which it sees the values or the states.
    pub(crate) fn hooked(
        self,
        hook: impl FnMut(Call, Columns<'_>) -> Answer<Option<Vec<ArrayRef>>> + Send + 'static,
    ) -> Sum {
        Sum { hook: Box::new(hook), ..self }
    }

    /// Converts states to sums; a state of nothing has none.
    fn sums(&self, states: Columns<'_>) -> Vec<Option<i64>> {
        assert_planned(states, &self.fold.state);
        sums(self.fold.state_version, states)
    }

    fn states(&self, sums: Vec<Option<i64>>) -> Vec<ArrayRef> {
        let (version, sums) = (i64::from(self.fold.state_version), sums.into_iter());
        vec![match version {
            3 => Arc::new(sums.map(|sum| Some(sum?.to_string())).collect::<StringArray>()),
            _ => Arc::new(sums.map(|sum| Some(sum? * version)).collect::<Int64Array>()),
        }]
    }

    fn add(&self, added: impl Iterator<Item = (usize, Option<i64>)>, states: Columns<'_>) -> Answer<Vec<ArrayRef>> {
        let mut sums = self.sums(states);
        for (group, value) in added {
            let sum = sums[group].unwrap_or(0).checked_add(value.unwrap_or(0));
            sums[group] = Some(sum.ok_or_else(|| OperatorError::Refused("overflow".to_owned()))?);
        }
        Ok(self.states(sums))
    }
}

fn sums(version: u32, states: Columns<'_>) -> Vec<Option<i64>> {
    let state = &states.arrays[0];
    match version {
        3 => state.as_string::<i32>().iter().map(|text| Some(text?.parse().unwrap())).collect(),
        _ => state.as_primitive::<Int64Type>().iter().map(|number| Some(number? / i64::from(version))).collect(),
    }
}

fn assert_planned<T>(columns: Columns<'_>, plan: &[T]) {
    let lengths: Vec<_> = columns.arrays.iter().map(|array| array.len()).collect();
    assert_eq!(lengths, vec![columns.rows; plan.len()], "the columns that are planned, with a value for each row");
}

impl Operator for Sum {
    fn transform_plan(&self) -> &TransformPlan {
        &self.transform
    }
    fn fold_plan(&self) -> Option<&FoldPlan> {
        Some(&self.fold)
    }
    fn process(&mut self, _: Columns<'_>) -> Answer<Produced> {
        unreachable!("it computes nothing")
    }
    fn accumulate(&mut self, groups: &[i32], values: Columns<'_>, states: Columns<'_>) -> Answer<Vec<ArrayRef>> {
        assert!(values.rows > 0, "it is not called for nothing");
        assert_planned(values, &self.fold.values);
        assert_planned(states, &self.fold.state);
        assert_eq!(groups.len(), values.rows, "a group for each row");
        if let Some(answer) = (self.hook)(Call::Accumulate, values)? {
            return Ok(answer);
        }
        let groups = groups.iter().map(|group| usize::try_from(*group).unwrap());
        self.add(groups.zip(values.arrays[0].as_primitive::<Int64Type>()), states)
    }
    fn merge(&mut self, left: Columns<'_>, right: Columns<'_>) -> Answer<Vec<ArrayRef>> {
        assert!(self.merges, "nothing merges");
        assert!(right.rows > 0, "it is not called for nothing");
        assert_eq!(left.rows, right.rows, "a state for each that it is merged with");
        let states = [left, right].map(|states| states.arrays[0].null_count());
        assert_eq!(states, [0, 0], "there is no state of nothing to be merged");
        self.add(self.sums(right).into_iter().enumerate(), left)
    }
    fn emit(&mut self, states: Columns<'_>) -> Answer<Vec<ArrayRef>> {
        let sums: ArrayRef = Arc::new(Int64Array::from(self.sums(states)));
        Ok((self.hook)(Call::Emit, states)?.unwrap_or_else(|| vec![sums; self.fold.outputs.len()]))
    }
    fn migrate(&mut self, version: u32, fields: &[Field], states: Columns<'_>) -> Answer<Vec<ArrayRef>> {
        assert_planned(states, fields);
        match ((self.hook)(Call::Migrate, states)?, self.migrates) {
            (Some(answer), _) => Ok(answer),
            (None, true) if version <= self.fold.state_version => Ok(self.states(sums(version, states))),
            (None, true) => Err(OperatorError::Refused(format!("version {version} is newer"))),
            (None, false) => Err(OperatorError::Refused(format!("it takes no states of version {version}"))),
        }
    }
}
