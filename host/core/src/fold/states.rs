//! The states of groups, column by column, in memory.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, PrimitiveArray};

use crate::schema::{Field, Kind};

/// A state for each group; a group that was never written has null in every column.
#[derive(Debug)]
pub struct States {
    columns: Vec<StateColumn>,
    groups: usize,
    /// What the texts and binaries take, beside their places in the columns.
    heap: usize,
}

#[derive(Debug)]
enum StateColumn {
    Boolean(Vec<Option<bool>>),
    Int64(Vec<Option<i64>>),
    Timestamp(Vec<Option<i64>>),
    Float64(Vec<Option<f64>>),
    Utf8(Vec<Option<Box<str>>>),
    Binary(Vec<Option<Box<[u8]>>>),
}

impl States {
    /// No states yet, of these columns.
    pub fn new(fields: &[Field]) -> States {
        let columns = fields
            .iter()
            .map(|field| match field.kind {
                Kind::Boolean => StateColumn::Boolean(Vec::new()),
                Kind::Int64 => StateColumn::Int64(Vec::new()),
                Kind::Timestamp => StateColumn::Timestamp(Vec::new()),
                Kind::Float64 => StateColumn::Float64(Vec::new()),
                Kind::Utf8 => StateColumn::Utf8(Vec::new()),
                Kind::Binary => StateColumn::Binary(Vec::new()),
            })
            .collect();
        States { columns, groups: 0, heap: 0 }
    }

    /// Adds null states until there are this many, or takes the last away.
    pub fn resize(&mut self, groups: usize) {
        for column in &mut self.columns {
            self.heap -= column.heap(groups.min(self.groups)..self.groups);
            match column {
                StateColumn::Boolean(values) => values.resize(groups, None),
                StateColumn::Int64(values) | StateColumn::Timestamp(values) => values.resize(groups, None),
                StateColumn::Float64(values) => values.resize(groups, None),
                StateColumn::Utf8(values) => values.resize(groups, None),
                StateColumn::Binary(values) => values.resize(groups, None),
            }
        }
        self.groups = groups;
    }

    /// The states of these groups, as columns.
    pub fn gather(&self, groups: &[u32]) -> Vec<ArrayRef> {
        self.columns.iter().map(|column| column.gather(groups)).collect()
    }

    /// Replaces the states of these groups. False, and nothing changed, unless there is an array of the right type and
    /// length for each column.
    #[must_use]
    pub fn scatter(&mut self, groups: &[u32], arrays: &[ArrayRef]) -> bool {
        let fits =
            arrays.len() == self.columns.len()
                && self.columns.iter().zip(arrays).all(|(column, array)| {
                    array.len() == groups.len() && *array.data_type() == column.kind().data_type()
                });
        if fits {
            for (column, array) in self.columns.iter_mut().zip(arrays) {
                let places = || groups.iter().map(|group| *group as usize);
                self.heap -= column.heap(places());
                column.scatter(groups, array);
                self.heap += column.heap(places());
            }
        }
        fits
    }

    /// Makes every column of these groups null.
    pub fn clear(&mut self, groups: &[u32]) {
        for column in &mut self.columns {
            self.heap -= column.heap(groups.iter().map(|group| *group as usize));
            match column {
                StateColumn::Boolean(values) => put(values, groups, std::iter::repeat(None)),
                StateColumn::Int64(values) | StateColumn::Timestamp(values) => {
                    put(values, groups, std::iter::repeat(None));
                }
                StateColumn::Float64(values) => put(values, groups, std::iter::repeat(None)),
                StateColumn::Utf8(values) => put(values, groups, std::iter::repeat_with(|| None)),
                StateColumn::Binary(values) => put(values, groups, std::iter::repeat_with(|| None)),
            }
        }
    }

    /// The memory that is taken, in bytes.
    pub fn bytes(&self) -> usize {
        self.heap + self.columns.iter().map(StateColumn::places).sum::<usize>()
    }
}

impl StateColumn {
    fn kind(&self) -> Kind {
        match self {
            StateColumn::Boolean(_) => Kind::Boolean,
            StateColumn::Int64(_) => Kind::Int64,
            StateColumn::Timestamp(_) => Kind::Timestamp,
            StateColumn::Float64(_) => Kind::Float64,
            StateColumn::Utf8(_) => Kind::Utf8,
            StateColumn::Binary(_) => Kind::Binary,
        }
    }

    /// What the values at these places take beside them.
    fn heap(&self, places: impl Iterator<Item = usize>) -> usize {
        match self {
            StateColumn::Utf8(values) => places.map(|place| values[place].as_ref().map_or(0, |text| text.len())).sum(),
            StateColumn::Binary(values) => {
                places.map(|place| values[place].as_ref().map_or(0, |bytes| bytes.len())).sum()
            }
            _ => 0,
        }
    }

    /// What the places themselves take, in bytes.
    fn places(&self) -> usize {
        match self {
            StateColumn::Boolean(values) => size_of_val(values.as_slice()),
            StateColumn::Int64(values) | StateColumn::Timestamp(values) => size_of_val(values.as_slice()),
            StateColumn::Float64(values) => size_of_val(values.as_slice()),
            StateColumn::Utf8(values) => size_of_val(values.as_slice()),
            StateColumn::Binary(values) => size_of_val(values.as_slice()),
        }
    }

    fn gather(&self, groups: &[u32]) -> ArrayRef {
        match self {
            StateColumn::Boolean(values) => {
                let mut column = BooleanBuilder::with_capacity(groups.len());
                groups.iter().for_each(|group| column.append_option(values[*group as usize]));
                Arc::new(column.finish())
            }
            StateColumn::Int64(values) => Arc::new(PrimitiveArray::<Int64Type>::from_iter(picked(values, groups))),
            StateColumn::Timestamp(values) => {
                Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_iter(picked(values, groups)))
            }
            StateColumn::Float64(values) => Arc::new(PrimitiveArray::<Float64Type>::from_iter(picked(values, groups))),
            StateColumn::Utf8(values) => {
                let mut column = StringBuilder::with_capacity(groups.len(), 0);
                groups.iter().for_each(|group| column.append_option(values[*group as usize].as_deref()));
                Arc::new(column.finish())
            }
            StateColumn::Binary(values) => {
                let mut column = BinaryBuilder::with_capacity(groups.len(), 0);
                groups.iter().for_each(|group| column.append_option(values[*group as usize].as_deref()));
                Arc::new(column.finish())
            }
        }
    }

    /// The array's type and length were checked.
    fn scatter(&mut self, groups: &[u32], array: &ArrayRef) {
        match self {
            StateColumn::Boolean(values) => put(values, groups, array.as_boolean().iter()),
            StateColumn::Int64(values) => put(values, groups, array.as_primitive::<Int64Type>().iter()),
            StateColumn::Timestamp(values) => {
                put(values, groups, array.as_primitive::<TimestampMicrosecondType>().iter());
            }
            StateColumn::Float64(values) => put(values, groups, array.as_primitive::<Float64Type>().iter()),
            StateColumn::Utf8(values) => {
                put(values, groups, array.as_string::<i32>().iter().map(|value| value.map(Box::from)));
            }
            StateColumn::Binary(values) => {
                put(values, groups, array.as_binary::<i32>().iter().map(|value| value.map(Box::from)));
            }
        }
    }
}

fn picked<'a, T: Copy>(values: &'a [Option<T>], groups: &'a [u32]) -> impl Iterator<Item = Option<T>> + 'a {
    groups.iter().map(|group| values[*group as usize])
}

fn put<T>(states: &mut [Option<T>], groups: &[u32], values: impl Iterator<Item = Option<T>>) {
    for (group, value) in groups.iter().zip(values) {
        states[*group as usize] = value;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields() -> Vec<Field> {
        let kinds = [Kind::Boolean, Kind::Int64, Kind::Timestamp, Kind::Float64, Kind::Utf8, Kind::Binary];
        kinds.map(|kind| Field::new("a", kind)).to_vec()
    }

    /// The columns of states, each told by a number; a negative one is null.
    fn columns(states: &[i64]) -> Vec<ArrayRef> {
        let some = || states.iter().map(|state| (*state >= 0).then_some(*state));
        let text = |state: i64| "x".repeat(state as usize);
        let texts: arrow_array::StringArray = some().map(|state| state.map(text)).collect();
        let bytes: arrow_array::BinaryArray = some().map(|state| state.map(|state| text(state / 2))).collect();
        vec![
            Arc::new(some().map(|state| state.map(|state| state % 2 == 0)).collect::<arrow_array::BooleanArray>()),
            Arc::new(PrimitiveArray::<Int64Type>::from_iter(some())),
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_iter(some())),
            Arc::new(PrimitiveArray::<Float64Type>::from_iter(some().map(|state| state.map(|state| state as f64)))),
            Arc::new(texts),
            Arc::new(bytes),
        ]
    }

    fn made_of(states: &[i64]) -> States {
        let mut made = States::new(&fields());
        made.resize(states.len());
        let all: Vec<u32> = (0u32..).take(states.len()).collect();
        assert!(made.scatter(&all, &columns(states)));
        made
    }

    #[derive(Debug, Clone)]
    enum Act {
        Resize(usize),
        Scatter(Vec<(prop::sample::Index, i64)>),
        Clear(Vec<prop::sample::Index>),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let index = any::<prop::sample::Index>;
        let act = prop_oneof![
            (0usize..20).prop_map(Act::Resize),
            prop::collection::vec((index(), -1i64..30), 0..10).prop_map(Act::Scatter),
            prop::collection::vec(index(), 0..5).prop_map(Act::Clear),
        ];
        prop::collection::vec(act, 0..20)
    }

    proptest! {
        #[test]
        fn states_and_the_memory_that_they_take_are_those_last_given_however_they_came(acts in acts()) {
            let (mut states, mut expected) = (States::new(&fields()), Vec::<i64>::new());
            for act in acts {
                match act {
                    Act::Resize(groups) => {
                        states.resize(groups);
                        expected.resize(groups, -1);
                    }
                    Act::Scatter(given) => {
                        let given: std::collections::BTreeMap<usize, i64> = given.into_iter()
                            .filter(|_| !expected.is_empty())
                            .map(|(index, state)| (index.index(expected.len()), state))
                            .collect();
                        let groups: Vec<u32> = given.keys().map(|group| *group as u32).collect();
                        let values: Vec<i64> = given.values().copied().collect();
                        prop_assert!(states.scatter(&groups, &columns(&values)));
                        given.into_iter().for_each(|(group, state)| expected[group] = state);
                    }
                    Act::Clear(groups) => {
                        let all = expected.len();
                        let groups: std::collections::BTreeSet<usize> =
                            groups.iter().filter(|_| all > 0).map(|index| index.index(all)).collect();
                        states.clear(&groups.iter().map(|group| *group as u32).collect::<Vec<_>>());
                        groups.into_iter().for_each(|group| expected[group] = -1);
                    }
                }
            }
            let all: Vec<u32> = (0u32..).take(expected.len()).collect();
            prop_assert_eq!(states.gather(&all), columns(&expected));
            prop_assert_eq!(states.bytes(), made_of(&expected).bytes());
        }
    }

    #[test]
    fn a_longer_text_or_binary_takes_as_much_more_memory_and_one_group_more_its_places() {
        let bytes = |states: &[i64]| made_of(states).bytes();
        assert_eq!(bytes(&[10]) - bytes(&[0]), 10 + 5);
        assert_eq!(bytes(&[10, 4, -1]) - bytes(&[-1, -1, -1]), 10 + 5 + 4 + 2);
        let places = size_of::<Option<bool>>()
            + 2 * size_of::<Option<i64>>()
            + size_of::<Option<f64>>()
            + size_of::<Option<Box<str>>>()
            + size_of::<Option<Box<[u8]>>>();
        assert_eq!((bytes(&[]), bytes(&[-1]), bytes(&[-1; 7])), (0, places, 7 * places));
    }

    #[test]
    fn arrays_of_another_number_type_or_length_than_the_columns_change_nothing() {
        let mut states = made_of(&[3, 4]);
        let fits = columns(&[5, 6]);
        let (mut fewer, mut swapped) = (fits.clone(), fits.clone());
        fewer.pop();
        swapped.swap(0, 1);
        let more = [fits.clone(), columns(&[5, 6])].concat();
        for wrong in [fewer, swapped, more, columns(&[5]), columns(&[5, 6, 7])] {
            assert!(!states.scatter(&[0, 1], &wrong));
            assert_eq!(states.gather(&[0, 1]), columns(&[3, 4]));
        }
        assert!(states.scatter(&[0, 1], &fits));
    }
}
