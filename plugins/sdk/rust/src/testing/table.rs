//! Rows of values, to be given to a metric and to be compared with what it answers.

use std::fmt;
use std::marker::PhantomData;

use crate::contract::{Field, Kind};
use crate::schema::KindName;
use crate::{Timestamp, Write, fixed};

/// A value of a column of any kind.
#[derive(Debug, Clone)]
pub enum Value {
    /// No value.
    Null,
    /// Of a boolean column.
    Boolean(bool),
    /// Of an int64 column.
    Int64(i64),
    /// Of a float64 column.
    Float64(f64),
    /// Of a utf8 column.
    Utf8(String),
    /// Of a binary column.
    Binary(Vec<u8>),
    /// Of a timestamp column.
    Timestamp(Timestamp),
    /// Value of another kind of fixed width, as the integer that its bytes are.
    Fixed(Kind, i128),
}

/// Values are equal if they are the same, in groups as in tests: NaN is NaN, and -0.0 is not 0.0.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Boolean(left), Value::Boolean(right)) => left == right,
            (Value::Int64(left), Value::Int64(right)) => left == right,
            (Value::Float64(left), Value::Float64(right)) => left.total_cmp(right).is_eq(),
            (Value::Utf8(left), Value::Utf8(right)) => left == right,
            (Value::Binary(left), Value::Binary(right)) => left == right,
            (Value::Timestamp(left), Value::Timestamp(right)) => left == right,
            (Value::Fixed(kind, left), Value::Fixed(other, right)) => (kind, left) == (other, right),
            _ => false,
        }
    }
}

impl Eq for Value {}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("null"),
            Value::Boolean(value) => value.fmt(f),
            Value::Int64(value) => value.fmt(f),
            Value::Float64(value) => write!(f, "{value:?}"),
            Value::Utf8(value) => write!(f, "{value:?}"),
            Value::Binary(value) => write!(f, "{value:?}"),
            Value::Timestamp(value) => value.fmt(f),
            Value::Fixed(kind, value) => fixed::show(*kind, *value, f),
        }
    }
}

/// A null in a row of [`table!`](crate::testing::table!).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Null;

/// A type whose values can be in a table: one for each kind of a column.
pub trait Sample: Write {
    /// The value, whatever its kind.
    fn value(self) -> Value;
}

macro_rules! sample {
    ($($type:ty: $value:expr),* $(,)?) => {
        $(impl Sample for $type {
            fn value(self) -> Value {
                $value(self)
            }
        })*
    };
}

sample! {
    bool: Value::Boolean,
    &str: |text: &str| Value::Utf8(text.to_owned()),
    &[u8]: |bytes: &[u8]| Value::Binary(bytes.to_owned()),
}

/// What a row of [`table!`](crate::testing::table!) may have in a column of `T`: a `T`, an `Option` of it, or [`Null`].
pub struct Cell<T> {
    value: Value,
    of: PhantomData<T>,
}

impl<T> Cell<T> {
    /// The value, whatever its kind.
    pub fn value(self) -> Value {
        self.value
    }
}

impl<T: Sample> From<T> for Cell<T> {
    fn from(value: T) -> Self {
        Cell { value: value.value(), of: PhantomData }
    }
}

impl<T: Sample> From<Option<T>> for Cell<T> {
    fn from(value: Option<T>) -> Self {
        Cell { value: value.map_or(Value::Null, T::value), of: PhantomData }
    }
}

impl<T: Sample> From<Null> for Cell<T> {
    fn from(_: Null) -> Self {
        Cell { value: Value::Null, of: PhantomData }
    }
}

/// Named columns of a kind each, and rows of values. Made by [`table!`](crate::testing::table!).
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    pub(super) columns: Vec<(String, Kind)>,
    pub(super) rows: Vec<Vec<Value>>,
}

impl Table {
    /// A table of these columns and rows, each of as many values as there are columns, of their kinds.
    #[doc(hidden)]
    pub fn new(columns: Vec<(String, Kind)>, rows: Vec<Vec<Value>>) -> Table {
        Table { columns, rows }
    }

    /// The rows, each with a value for each column.
    pub fn rows(&self) -> &[Vec<Value>] {
        &self.rows
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        self.columns.iter().map(|(name, kind)| Field { name: name.clone(), kind: *kind }).collect()
    }
}

/// A line for the columns and one for each row, so that a failed comparison can be read.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self.columns.iter().map(|(name, kind)| format!("{name}:{}", KindName(*kind))).collect();
        write!(f, "{}", columns.join(" | "))?;
        for row in &self.rows {
            let values: Vec<_> = row.iter().map(Value::to_string).collect();
            write!(f, "\n{}", values.join(" | "))?;
        }
        Ok(())
    }
}

/// Rows for a test: columns with their types, then each row's values in brackets, [`Null`](crate::testing::Null) where
/// there is none.
///
/// ```
/// use sluice_sdk::testing::{Null, table};
///
/// let gifts = table! {
///     user_id: i64, province: &str;
///     [1, "浙江"],
///     [2, Null],
/// };
/// assert_eq!(gifts.rows().len(), 2);
/// ```
#[macro_export]
macro_rules! table {
    ($($column:ident: $type:ty),+ $(,)?; $([$($cell:expr),+ $(,)?]),* $(,)?) => {{
        #[allow(unused, reason = "a table may have no rows")]
        let row = |$($column: $crate::testing::Cell<$type>),+| ::std::vec![$($column.value()),+];
        $crate::testing::Table::new(
            ::std::vec![$((::core::stringify!($column).to_owned(), <$type as $crate::Write>::KIND)),+],
            ::std::vec![$(row($(::core::convert::Into::into($cell)),+)),*],
        )
    }};
}
