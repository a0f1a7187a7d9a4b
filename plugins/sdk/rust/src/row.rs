//! Rows as structs: `row!` turns a struct's fields into columns.

use crate::contract::{Batch, Column, Kind};

/// A row that comes in: each field is a column that is read. Implemented by [`row!`](crate::row!).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row that can be read",
    note = "declare it with `sluice_sdk::row!`, of columns that can be read (none of them `untouched`)"
)]
pub trait ReadRow<'a>: Sized {
    /// The columns that are read, in the order of the fields.
    const COLUMNS: &'static [Needed];

    /// The columns of a batch, opened for reading.
    type Columns;

    /// The columns of a batch that has those of `COLUMNS`.
    fn columns(batch: &'a Batch) -> Result<Self::Columns, String>;

    /// Whether any column may hold a null.
    fn has_nulls(columns: &Self::Columns) -> bool;

    /// The row; the name of the column that is null and must not be, if there is one. `NULLS` is what `has_nulls` says:
    /// most batches have none, and a loop of its own doesn't ask again for each value.
    fn read<const NULLS: bool>(columns: &Self::Columns, row: usize) -> Result<Self, &'static str>;

    /// Whether each column is null.
    fn is_null(columns: &Self::Columns, row: usize) -> bool;
}

/// A column that comes in, by name and kind.
#[derive(Debug, Clone, Copy)]
pub struct Needed {
    /// Its name.
    pub name: &'static str,
    /// What it must be.
    pub kind: Kind,
}

/// A row that goes out: each field is a column that is made. Implemented by [`row!`](crate::row!).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row that can be written",
    note = "declare it with `sluice_sdk::row!`"
)]
pub trait WriteRow: Sized {
    /// The columns that are made, in the order of the declaration.
    const COLUMNS: &'static [Made];

    /// The columns while they are written.
    type Columns;

    /// Columns with room for this many rows.
    fn columns(rows: usize) -> Self::Columns;

    /// Writes the row. Rows come in order, each once.
    fn write(self, row: usize, columns: &mut Self::Columns);

    /// The computed columns of the first `rows` rows, in order.
    fn finish(columns: Self::Columns, rows: usize) -> Result<Vec<Column>, String>;
}

/// A column that goes out, by name and kind.
#[derive(Debug, Clone, Copy)]
pub struct Made {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Whether it is the input's column of that name, which then never enters the operator.
    pub untouched: bool,
}

/// How many columns of a row are computed, for checks when the operator is compiled.
pub const fn computed(columns: &[Made]) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < columns.len() {
        count += !columns[at].untouched as usize;
        at += 1;
    }
    count
}

/// No columns: what a transform reads whose every output is untouched.
impl ReadRow<'_> for () {
    const COLUMNS: &'static [Needed] = &[];
    type Columns = ();

    fn columns(_batch: &Batch) -> Result<(), String> {
        Ok(())
    }

    fn has_nulls(_columns: &()) -> bool {
        false
    }

    fn read<const NULLS: bool>(_columns: &(), _row: usize) -> Result<(), &'static str> {
        Ok(())
    }

    fn is_null(_columns: &(), _row: usize) -> bool {
        true
    }
}

/// Declares a row: a struct whose fields are columns, named as the fields are.
///
/// ```
/// use sluice_sdk::{DecimalText, row};
///
/// row! {
///     /// What is read: the user may be null, a gift without a type is rejected.
///     pub struct Gift<'a> {
///         user_id: Option<i64>,
///         gift_type: i64,
///         province: Option<&'a str>,
///     }
/// }
///
/// row! {
///     /// What is made. `amount` is the input's column as it is: it is no field of the struct, and costs nothing.
///     pub struct Typed {
///         gift_type: DecimalText,
///         amount = untouched i64,
///     }
/// }
///
/// let made = Typed { gift_type: DecimalText(7) };
/// # let _ = made;
/// ```
///
/// A field's type is the column's kind: `bool`, `i64`, `f64`, `&str` (utf8), `&[u8]` (binary), [`Timestamp`], [`Date`],
/// [`Decimal<18, 2>`]; an `Option` of one may be null. Only what is made can be [`DecimalText`]; `String` is for what is made and for states.
///
/// [`Timestamp`]: crate::Timestamp
/// [`Date`]: crate::Date
/// [`Decimal<18, 2>`]: crate::Decimal
/// [`DecimalText`]: crate::DecimalText
#[macro_export]
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($fields:tt)* }) => {
        $crate::__row! { [$(#[$meta])* $vis] $name ['row] [] $($fields)* }
    };
    ($(#[$meta:meta])* $vis:vis struct $name:ident<$lifetime:lifetime> { $($fields:tt)* }) => {
        $crate::__row! { [$(#[$meta])* $vis] $name [$lifetime] [<$lifetime>] $($fields)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __row {
    (
        [$($head:tt)*] $name:ident [$lifetime:lifetime] [$($generics:tt)*]
        $($column:ident $(: $type:ty)? $(= untouched $untouched:ty)?),* $(,)?
    ) => {
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "a field is the column of its name")]
        $($head)* struct $name $($generics)* {
            $($(pub $column: $type,)?)*
        }

        $crate::__read_row! {
            $name [$lifetime] [$($generics)*]
            [$($($column: $type = ::core::stringify!($column),)?)*]
            [$($(<$untouched as $crate::Write>::KIND,)?)*]
        }

        $crate::__write_row! {
            $name [$($generics)*] [$($($column: $type,)?)*]
            [$(
                $($crate::row::Made {
                    name: ::core::stringify!($column),
                    kind: <$type as $crate::Write>::KIND,
                    untouched: false,
                },)?
                $($crate::row::Made {
                    name: ::core::stringify!($column),
                    kind: <$untouched as $crate::Write>::KIND,
                    untouched: true,
                },)?
            )*]
        }
    };
}

/// The columns of `name`, each read from the input column of the name behind it.
#[doc(hidden)]
#[macro_export]
macro_rules! __read_row {
    (
        $name:ident [$lifetime:lifetime] [$($generics:tt)*]
        [$($column:ident: $type:ty = $source:expr,)*]
        [$($untouched:expr,)*]
    ) => {
        const _: () = {
            #[allow(missing_docs, reason = "a field is the column of its name")]
            pub struct Columns<$lifetime>
            where
                $($type: $crate::Read<$lifetime>,)*
            {
                $($column: $crate::read::Reader<$lifetime, $type>,)*
                batch: ::core::marker::PhantomData<&$lifetime ()>,
            }

            // A row of columns that can only be written is no row to read: hence the conditions.
            impl<$lifetime> $crate::row::ReadRow<$lifetime> for $name $($generics)*
            where
                $($type: $crate::Read<$lifetime>,)*
            {
                const COLUMNS: &'static [$crate::row::Needed] = {
                    let untouched: &[$crate::contract::Kind] = &[$($untouched),*];
                    ::core::assert!(untouched.is_empty(), "a row that is read has no untouched columns");
                    &[$($crate::row::Needed { name: $source, kind: <$type as $crate::Read>::KIND },)*]
                };
                type Columns = Columns<$lifetime>;

                #[allow(unused, reason = "a row may have no columns")]
                fn columns(batch: &$lifetime $crate::contract::Batch) -> ::core::result::Result<Columns<$lifetime>, String> {
                    let rows = batch.rows as usize;
                    let mut columns = batch.columns.iter();
                    ::core::result::Result::Ok(Columns {
                        $($column: $crate::read::Reader::new(columns.next(), rows)?,)*
                        batch: ::core::marker::PhantomData,
                    })
                }

                #[inline]
                #[allow(unused, reason = "a row may have no columns")]
                fn has_nulls(columns: &Columns<$lifetime>) -> bool {
                    false $(|| columns.$column.has_nulls())*
                }

                #[inline(always)]
                #[allow(unused, reason = "a row may have no columns")]
                fn read<const NULLS: bool>(
                    columns: &Columns<$lifetime>,
                    row: usize,
                ) -> ::core::result::Result<Self, &'static str> {
                    ::core::result::Result::Ok($name {
                        $($column: columns.$column.read::<NULLS>(row).ok_or($source)?,)*
                    })
                }

                #[inline]
                #[allow(unused, reason = "a row may have no columns")]
                fn is_null(columns: &Columns<$lifetime>, row: usize) -> bool {
                    true $(&& columns.$column.is_null(row))*
                }
            }
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __write_row {
    ($name:ident [$($generics:tt)*] [$($column:ident: $type:ty,)*] [$($made:tt)*]) => {
        const _: () = {
            #[allow(missing_docs, reason = "a field is the column of its name")]
            pub struct Columns $($generics)* {
                $($column: $crate::write::Writer<$type>,)*
            }

            impl $($generics)* $crate::row::WriteRow for $name $($generics)* {
                const COLUMNS: &'static [$crate::row::Made] = &[$($made)*];
                type Columns = Columns $($generics)*;

                #[allow(unused, reason = "a row may have no computed columns")]
                fn columns(rows: usize) -> Self::Columns {
                    Columns { $($column: $crate::write::Writer::with_rows(rows),)* }
                }

                #[inline(always)]
                #[allow(unused, reason = "a row may have no computed columns")]
                fn write(self, row: usize, columns: &mut Self::Columns) {
                    $(columns.$column.write(row, self.$column);)*
                }

                #[allow(unused, reason = "a row may have no computed columns")]
                fn finish(
                    columns: Self::Columns,
                    rows: usize,
                ) -> ::core::result::Result<Vec<$crate::contract::Column>, String> {
                    ::core::result::Result::Ok(::std::vec![$(columns.$column.finish(rows)?),*])
                }
            }
        };
    };
}
