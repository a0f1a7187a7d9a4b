//! Aggregates that SQL has, each as a column that is a state of its own, and `fold!`, which makes a fold of them.

use std::fmt;
use std::marker::PhantomData;

use crate::contract::{Column, Kind};
use crate::decimal::Decimal;
use crate::read::Read;
use crate::schema::KindName;
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

/// A result that its type can't hold. It is never wrapped: a wrong total is worse than none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overflow {
    left: String,
    right: String,
    of: String,
}

impl Overflow {
    #[cold]
    #[inline(never)]
    fn of<T: Total>(left: T, right: T) -> Overflow {
        Overflow { left: left.to_string(), right: right.to_string(), of: KindName(<T as Write>::KIND).to_string() }
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} + {} overflows {}", self.left, self.right, self.of)
    }
}

impl std::error::Error for Overflow {}

/// A number that sums are kept in.
pub trait Total: Copy + Default + fmt::Display + Write {
    /// The sum, unless it is too large or too small for the type.
    fn plus(self, other: Self) -> Option<Self>;
}

impl Total for i64 {
    #[inline]
    fn plus(self, other: i64) -> Option<i64> {
        self.checked_add(other)
    }
}

impl<const P: u8, const S: u8> Total for Decimal<P, S> {
    #[inline]
    fn plus(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }
}

/// A number that can be summed.
pub trait Summand: for<'a> Read<'a> {
    /// The type of the sum, as SQL has it: of decimals the one of most digits.
    type Total: Total + for<'a> Read<'a>;

    /// The number as a sum of it alone.
    fn total(self) -> Self::Total;
}

impl Summand for i64 {
    type Total = i64;

    #[inline]
    fn total(self) -> i64 {
        self
    }
}

impl<const P: u8, const S: u8> Summand for Decimal<P, S> {
    type Total = Decimal<38, S>;

    #[inline]
    fn total(self) -> Decimal<38, S> {
        Decimal::of_column(self.unscaled())
    }
}

#[inline]
fn checked_add<T: Total>(left: T, right: T) -> Result<T, Overflow> {
    left.plus(right).ok_or_else(|| Overflow::of(left, right))
}

/// SQL's `SUM` of an int64, or of a decimal as `Sum<Decimal<18, 2>>`, which is a `Decimal<38, 2>`: nulls don't add, the sum of nothing
/// but nulls is null, and an overflow is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum<T: Summand = i64> {
    /// 0 until something was added.
    sum: T::Total,
    added: bool,
}

impl<T: Summand> Default for Sum<T> {
    fn default() -> Self {
        Sum { sum: T::Total::default(), added: false }
    }
}

impl<T: Summand> Sum<T> {
    #[inline]
    fn plus(&mut self, value: Option<T::Total>) -> Result<(), Overflow> {
        if let Some(value) = value {
            *self = Sum { sum: checked_add(self.sum, value)?, added: true };
        }
        Ok(())
    }
}

impl<T: Summand> Aggregate for Sum<T> {
    type Value<'a> = Option<T>;
    type Output = Option<T::Total>;

    #[inline]
    fn add(&mut self, value: Option<T>) -> Result<(), Overflow> {
        self.plus(value.map(T::total))
    }

    #[inline]
    fn merge(&mut self, other: Self) -> Result<(), Overflow> {
        self.plus(other.emit())
    }

    fn emit(self) -> Option<T::Total> {
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

/// An aggregate as a state's column: a number, null where a sum has seen nothing.
macro_rules! state_column {
    ([$($generics:tt)*] $type:ty, $number:ty, $from:expr, $into:expr) => {
        impl<'a, $($generics)*> Read<'a> for $type {
            const KIND: Kind = <$number as Read<'a>>::KIND;
            type Values = <$number as Read<'a>>::Values;

            fn values(column: &'a Column, rows: usize) -> Result<Self::Values, String> {
                <$number as Read>::values(column, rows)
            }

            fn get(values: &Self::Values, row: usize) -> Self {
                $from(<$number as Read>::get(values, row))
            }

            fn null() -> Option<Self> {
                Some(Self::default())
            }
        }

        impl<$($generics)*> Write for $type {
            const KIND: Kind = <$number as Write>::KIND;
            type Buffer = <$number as Write>::Buffer;

            fn put(self, row: usize, buffer: &mut Self::Buffer) -> bool {
                $into(self).put(row, buffer)
            }
        }
    };
}

state_column!([T: Summand] Sum<T>, T::Total, |sum| Sum { sum, added: true }, Self::emit);
state_column!([T] Count<T>, i64, |rows| Count { rows, of: PhantomData }, |count: Count<T>| count.rows);

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
