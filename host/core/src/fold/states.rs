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
    /// Memory of the texts and binaries, beside their places in the columns.
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
    /// Makes empty states with these columns.
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

    /// The kinds of the columns.
    pub fn kinds(&self) -> Vec<Kind> {
        self.columns.iter().map(StateColumn::kind).collect()
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

    /// Returns the memory that the values at these places take outside the places.
    fn heap(&self, places: impl Iterator<Item = usize>) -> usize {
        match self {
            StateColumn::Utf8(values) => places.map(|place| values[place].as_ref().map_or(0, |text| text.len())).sum(),
            StateColumn::Binary(values) => {
                places.map(|place| values[place].as_ref().map_or(0, |bytes| bytes.len())).sum()
            }
            _ => 0,
        }
    }

    /// Returns the memory of the places themselves, in bytes.
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

    /// Writes the array's values to the places of these groups. The array's type and length were checked.
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
