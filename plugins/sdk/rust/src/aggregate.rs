//! Aggregates that SQL has, each as a column that is a state of its own, and `fold!`, which makes a fold of them.

use std::fmt;
use std::marker::PhantomData;

use crate::contract::{Column, Kind};
use crate::read::Read;
use crate::write::Write;

/// A column of a state that knows how to grow: a building block of [`fold!`](crate::fold!).
///
/// `Default` is the aggregate of no rows.
pub trait Aggregate: Default {
    /// What it takes from a row.
    type Value<'a>: Read<'a>;

    /// What it shows.
    type Output: Write;

    /// Takes a row's value in.
    fn add(&mut self, value: Self::Value<'_>) -> Result<(), Overflow>;

    /// Joins what the other has seen.
    fn merge(&mut self, other: Self) -> Result<(), Overflow>;

    /// What it shows of what it has seen.
    fn emit(self) -> Self::Output;
}

/// A result that an int64 can't hold. It is never wrapped: a wrong total is worse than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow {
    left: i64,
    right: i64,
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} + {} overflows int64", self.left, self.right)
    }
}

impl std::error::Error for Overflow {}

#[inline]
fn checked_add(left: i64, right: i64) -> Result<i64, Overflow> {
    left.checked_add(right).ok_or(Overflow { left, right })
}

/// SQL's `SUM` of an int64: nulls don't add, the sum of nothing but nulls is null, and an overflow is an error.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// 0 until something was added.
    sum: i64,
    added: bool,
}

impl Aggregate for Sum {
    type Value<'a> = Option<i64>;
    type Output = Option<i64>;

    #[inline]
    fn add(&mut self, value: Option<i64>) -> Result<(), Overflow> {
        if let Some(value) = value {
            *self = Sum { sum: checked_add(self.sum, value)?, added: true };
        }
        Ok(())
    }

    #[inline]
    fn merge(&mut self, other: Sum) -> Result<(), Overflow> {
        self.add(other.emit())
    }

    fn emit(self) -> Option<i64> {
        self.added.then_some(self.sum)
    }
}

/// SQL's `COUNT(column)`: how many rows aren't null there. `T` says the column's kind, as a column that is made would:
/// `String` for utf8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count<T> {
    rows: i64,
    of: PhantomData<T>,
}

impl<T> Default for Count<T> {
    fn default() -> Self {
        Count { rows: 0, of: PhantomData }
    }
}

impl<T: Write> Aggregate for Count<T> {
    type Value<'a> = Presence<T>;
    type Output = i64;

    #[inline]
    fn add(&mut self, value: Presence<T>) -> Result<(), Overflow> {
        self.rows = checked_add(self.rows, i64::from(value.present))?;
        Ok(())
    }

    #[inline]
    fn merge(&mut self, other: Self) -> Result<(), Overflow> {
        self.rows = checked_add(self.rows, other.rows)?;
        Ok(())
    }

    fn emit(self) -> i64 {
        self.rows
    }
}

/// Whether a value of a column of `T`s is there; the value itself isn't read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence<T> {
    present: bool,
    of: PhantomData<T>,
}

impl<'a, T: Write> Read<'a> for Presence<T> {
    const KIND: Kind = T::KIND;
    type Values = ();

    fn values(_column: &'a Column, _rows: usize) -> Result<(), String> {
        Ok(())
    }

    #[inline]
    fn get(_values: &(), _row: usize) -> Self {
        Presence { present: true, of: PhantomData }
    }

    #[inline]
    fn null() -> Option<Self> {
        Some(Presence { present: false, of: PhantomData })
    }
}

/// As a state's column, an aggregate is an int64: null where it has seen nothing, for a sum.
macro_rules! int64_column {
    ([$($generics:tt)*] $type:ty, $from:expr, $into:expr) => {
        impl<'a, $($generics)*> Read<'a> for $type {
            const KIND: Kind = Kind::Int64;
            type Values = <i64 as Read<'a>>::Values;

            fn values(column: &'a Column, rows: usize) -> Result<Self::Values, String> {
                <i64 as Read>::values(column, rows)
            }

            fn get(values: &Self::Values, row: usize) -> Self {
                $from(<i64 as Read>::get(values, row))
            }

            fn null() -> Option<Self> {
                Some(Self::default())
            }
        }

        impl<$($generics)*> Write for $type {
            const KIND: Kind = Kind::Int64;
            type Buffer = <i64 as Write>::Buffer;

            fn put(self, row: usize, buffer: &mut Self::Buffer) -> bool {
                $into(self).put(row, buffer)
            }
        }
    };
}

int64_column!([] Sum, |sum| Sum { sum, added: true }, Sum::emit);
int64_column!([T] Count<T>, |rows| Count { rows, of: PhantomData }, |count: Count<T>| count.rows);

/// Declares a metric's [`Fold`](crate::Fold) of SQL aggregates: `column = Aggregate(column of the transform's result)`.
///
/// ```
/// # use sluice_sdk::{Reject, Transform, row};
/// # row! { pub struct Gifts { user_id = untouched i64, amount = untouched i64 } }
/// # #[derive(Default)]
/// # pub struct Gifting;
/// # impl Transform for Gifting {
/// #     type In<'a> = ();
/// #     type Out<'a> = Gifts;
/// #     fn row(&self, _: ()) -> Result<Gifts, Reject> { Ok(Gifts {}) }
/// # }
/// use sluice_sdk::{Count, Sum, fold};
///
/// // SELECT user_id, SUM(amount) AS total, COUNT(amount) AS gifts GROUP BY user_id
/// fold! {
///     Gifting: state version 1, group by user_id {
///         total = Sum(amount),
///         gifts = Count<i64>(amount),
///     }
/// }
/// ```
///
/// The state has the columns of the output. Raise its version whenever they or their meaning change. Several keys are
/// separated by commas; without keys all rows are one group.
///
/// With `state version 2 from 1`, states of version 1 are taken over: a column of the same name keeps what it has, one that is new
/// begins with nothing, one that is gone is forgotten. Without it, another version is refused where there are states.
#[macro_export]
macro_rules! fold {
    (
        $metric:ident: state version $version:literal $(from $($from:literal)|+)?, group by $($key:ident),* {
            $($column:ident = $aggregate:ident $(<$of:ty>)? ($source:ident)),+ $(,)?
        }
    ) => {
        const _: () = {
            use $crate::aggregate::Aggregate;

            #[allow(missing_docs, reason = "a field is the column of its name")]
            pub struct Value<'a> {
                $($column: <$aggregate $(<$of>)? as Aggregate>::Value<'a>,)+
            }

            $crate::__read_row! {
                Value ['a] [<'a>]
                [$($column: <$aggregate $(<$of>)? as Aggregate>::Value<'a> = ::core::stringify!($source),)+]
                []
            }

            $crate::row! { pub struct State { $($column: $aggregate $(<$of>)?),+ } }
            $crate::row! { pub struct Output { $($column: <$aggregate $(<$of>)? as Aggregate>::Output),+ } }

            #[cold]
            #[inline(never)]
            fn within(column: &str, overflow: $crate::aggregate::Overflow) -> $crate::Fault {
                $crate::Fault::from(::std::format!("`{column}`: {overflow}"))
            }

            impl $crate::Fold for $metric {
                const KEYS: &'static [&'static str] = &[$(::core::stringify!($key)),*];
                const STATE_VERSION: u32 = $version;
                type Value<'a> = Value<'a>;
                type State = State;
                type Output = Output;

                fn init(&self) -> State {
                    State { $($column: ::core::default::Default::default()),+ }
                }

                #[inline]
                fn add(&self, state: &mut State, row: Value<'_>) -> ::core::result::Result<(), $crate::Fault> {
                    $(state.$column.add(row.$column).map_err(|o| within(::core::stringify!($column), o))?;)+
                    ::core::result::Result::Ok(())
                }

                fn merge(&self, state: &mut State, other: State) -> ::core::result::Result<(), $crate::Fault> {
                    $(state.$column.merge(other.$column).map_err(|o| within(::core::stringify!($column), o))?;)+
                    ::core::result::Result::Ok(())
                }

                fn emit(&self, state: State) -> ::core::result::Result<Output, $crate::Fault> {
                    ::core::result::Result::Ok(Output { $($column: state.$column.emit()),+ })
                }

                $(fn migrate(
                    &self,
                    older: &$crate::Older,
                ) -> ::core::result::Result<::std::vec::Vec<::core::option::Option<State>>, $crate::Fault> {
                    match older.version() {
                        $($from)|+ => older.by_name(),
                        _ => older.refused(),
                    }
                })?
            }
        };
    };
}
