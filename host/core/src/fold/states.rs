//! The states of groups, column by column, in memory.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, BooleanBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, new_empty_array};
use arrow_buffer::{Buffer, NullBufferBuilder};

use crate::column::{Values, fixed_array};
use crate::schema::{Field, Kind, Layout, Width};

/// A state for each group; a group that was never written has null in every column.
#[derive(Debug)]
pub struct States {
    columns: Vec<StateColumn>,
    groups: usize,
    /// Memory of the texts and binaries, beside their places in the columns.
    heap: usize,
}

#[derive(Debug)]
struct StateColumn {
    kind: Kind,
    places: Places,
}

/// A column's value for each group.
#[derive(Debug)]
enum Places {
    Bits(Vec<Option<bool>>),
    Four(Vec<Option<[u8; 4]>>),
    Eight(Vec<Option<[u8; 8]>>),
    Sixteen(Vec<Option<[u8; 16]>>),
    Utf8(Vec<Option<Box<str>>>),
    Binary(Vec<Option<Box<[u8]>>>),
}

/// The expression for the vector of whatever type that the places are.
macro_rules! for_places {
    ($places:expr, $values:ident => $do:expr) => {
        match $places {
            Places::Bits($values) => $do,
            Places::Four($values) => $do,
            Places::Eight($values) => $do,
            Places::Sixteen($values) => $do,
            Places::Utf8($values) => $do,
            Places::Binary($values) => $do,
        }
    };
}

impl States {
    /// Makes empty states with these columns.
    pub fn new(fields: &[Field]) -> States {
        let column = |field: &Field| StateColumn { kind: field.kind, places: Places::new(field.kind) };
        States { columns: fields.iter().map(column).collect(), groups: 0, heap: 0 }
    }

    /// Adds null states until there are this many, or takes the last away.
    pub fn resize(&mut self, groups: usize) {
        for column in &mut self.columns {
            self.heap -= column.places.heap(groups.min(self.groups)..self.groups);
            for_places!(&mut column.places, values => values.resize(groups, None));
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
                    array.len() == groups.len() && *array.data_type() == column.kind.data_type()
                });
        if fits {
            for (StateColumn { places, .. }, array) in self.columns.iter_mut().zip(arrays) {
                let replaced = || groups.iter().map(|group| *group as usize);
                self.heap -= places.heap(replaced());
                places.scatter(groups, array);
                self.heap += places.heap(replaced());
            }
        }
        fits
    }

    /// Makes every column of these groups null.
    pub fn clear(&mut self, groups: &[u32]) {
        for StateColumn { places, .. } in &mut self.columns {
            self.heap -= places.heap(groups.iter().map(|group| *group as usize));
            for_places!(places, values => put(values, groups, std::iter::repeat_with(|| None)));
        }
    }

    /// The memory that is taken, in bytes.
    pub fn bytes(&self) -> usize {
        let places = |column: &StateColumn| for_places!(&column.places, values => size_of_val(values.as_slice()));
        self.heap + self.columns.iter().map(places).sum::<usize>()
    }
}

impl StateColumn {
    fn gather(&self, groups: &[u32]) -> ArrayRef {
        match &self.places {
            Places::Bits(values) => {
                let mut column = BooleanBuilder::with_capacity(groups.len());
                groups.iter().for_each(|group| column.append_option(values[*group as usize]));
                Arc::new(column.finish())
            }
            Places::Four(values) => fixed(self.kind, values, groups),
            Places::Eight(values) => fixed(self.kind, values, groups),
            Places::Sixteen(values) => fixed(self.kind, values, groups),
            Places::Utf8(values) => {
                let mut column = StringBuilder::with_capacity(groups.len(), 0);
                groups.iter().for_each(|group| column.append_option(values[*group as usize].as_deref()));
                Arc::new(column.finish())
            }
            Places::Binary(values) => {
                let mut column = BinaryBuilder::with_capacity(groups.len(), 0);
                groups.iter().for_each(|group| column.append_option(values[*group as usize].as_deref()));
                Arc::new(column.finish())
            }
        }
    }
}

impl Places {
    fn new(kind: Kind) -> Places {
        match (kind, kind.layout()) {
            (_, Layout::Bits) => Places::Bits(Vec::new()),
            (_, Layout::Fixed(Width::Four)) => Places::Four(Vec::new()),
            (_, Layout::Fixed(Width::Eight)) => Places::Eight(Vec::new()),
            (_, Layout::Fixed(Width::Sixteen)) => Places::Sixteen(Vec::new()),
            (Kind::Utf8, _) => Places::Utf8(Vec::new()),
            _ => Places::Binary(Vec::new()),
        }
    }

    /// Returns the memory that the values at these places take outside the places.
    fn heap(&self, places: impl Iterator<Item = usize>) -> usize {
        match self {
            Places::Utf8(values) => places.map(|place| values[place].as_ref().map_or(0, |text| text.len())).sum(),
            Places::Binary(values) => places.map(|place| values[place].as_ref().map_or(0, |bytes| bytes.len())).sum(),
            _ => 0,
        }
    }

    /// Writes the array's values to the places of these groups. The array's type and length were checked.
    fn scatter(&mut self, groups: &[u32], array: &ArrayRef) {
        match (self, Values::of(array)) {
            (Places::Bits(values), _) => put(values, groups, array.as_boolean().iter()),
            (Places::Four(values), Some(Values::Four(given))) => put(values, groups, given.iter()),
            (Places::Eight(values), Some(Values::Eight(given))) => put(values, groups, given.iter()),
            (Places::Sixteen(values), Some(Values::Sixteen(given))) => put(values, groups, given.iter()),
            (Places::Utf8(values), _) => {
                put(values, groups, array.as_string::<i32>().iter().map(|value| value.map(Box::from)));
            }
            (Places::Binary(values), _) => {
                put(values, groups, array.as_binary::<i32>().iter().map(|value| value.map(Box::from)));
            }
            _ => {}
        }
    }
}

/// The column of these groups' values.
fn fixed<const N: usize>(kind: Kind, values: &[Option<[u8; N]>], groups: &[u32]) -> ArrayRef {
    let mut nulls = NullBufferBuilder::new(groups.len());
    let mut bytes: Vec<[u8; N]> = Vec::with_capacity(groups.len());
    for value in groups.iter().map(|group| values[*group as usize]) {
        bytes.push(value.unwrap_or([0; N]));
        nulls.append(value.is_some());
    }
    let values = Buffer::from_vec(bytes.into_flattened());
    // The places are of the kind's width.
    fixed_array(kind, groups.len(), values, nulls.finish()).unwrap_or_else(|| new_empty_array(&kind.data_type()))
}

fn put<T>(states: &mut [Option<T>], groups: &[u32], values: impl Iterator<Item = Option<T>>) {
    for (group, value) in groups.iter().zip(values) {
        states[*group as usize] = value;
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::PrimitiveArray;
    use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
    use proptest::prelude::*;

    use super::*;
    use crate::decimal::Decimal;

    fn fields() -> Vec<Field> {
        Kind::ALL.map(|kind| Field::new("a", kind)).to_vec()
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
            Arc::new(PrimitiveArray::<Float64Type>::from_iter(some().map(|state| state.map(|state| state as f64)))),
            Arc::new(texts),
            Arc::new(bytes),
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from_iter(some())),
            Arc::new(PrimitiveArray::<Date32Type>::from_iter(some().map(|state| state.map(|state| state as i32)))),
            Arc::new(
                PrimitiveArray::<Decimal128Type>::from_iter(some().map(|state| state.map(i128::from)))
                    .with_precision_and_scale(Decimal::USUAL.precision(), 2)
                    .unwrap(),
            ),
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
            + size_of::<Option<[u8; 4]>>()
            + 3 * size_of::<Option<[u8; 8]>>()
            + size_of::<Option<[u8; 16]>>()
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
