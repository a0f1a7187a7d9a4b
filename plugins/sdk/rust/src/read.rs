//! Columns that come in: the contract's buffers, read as Rust values.

use crate::contract::{Column, Kind};

/// A type that a column's values are read as.
///
/// The type says what a null is: in an `Option` it is `None`; in anything else it has no place, so that a transform
/// rejects the row.
#[diagnostic::on_unimplemented(
    message = "a column can't be read as `{Self}`",
    note = "read a column as bool, i64, f64, &str, &[u8], Timestamp, Date or Decimal, or as an Option of one of these (nulls)"
)]
pub trait Read<'a>: Sized {
    /// The kind of the columns that hold such values.
    const KIND: Kind;

    /// The column's values, checked to be there for every row.
    type Values;

    /// The values of a column of `rows` rows. An error if its buffers are none of this kind: the host broke the contract.
    fn values(column: &'a Column, rows: usize) -> Result<Self::Values, String>;

    /// The value of a row below `rows` that isn't null.
    fn get(values: &Self::Values, row: usize) -> Self;

    /// What a null is read as; `None` where it has no place.
    #[inline]
    fn null() -> Option<Self> {
        None
    }
}

/// One column that comes in.
pub struct Reader<'a, T: Read<'a>> {
    validity: Option<&'a [u8]>,
    values: T::Values,
}

impl<'a, T: Read<'a>> Reader<'a, T> {
    /// Opens a column of `rows` rows. An error if the host gave none, or buffers that are too short.
    pub fn new(column: Option<&'a Column>, rows: usize) -> Result<Self, String> {
        let column = column.ok_or("fewer columns than the plan reads")?;
        let validity = column.validity.as_deref();
        if validity.is_some_and(|bits| bits.len() < rows.div_ceil(8)) {
            return Err(format!("a validity bitmap that is shorter than {rows} rows"));
        }
        Ok(Reader { validity, values: T::values(column, rows)? })
    }

    /// Whether the row is null.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        self.validity.is_some_and(|bits| !bit(bits, row))
    }

    /// Whether any row may be null: whether there is a bitmap to look at.
    #[inline]
    pub fn has_nulls(&self) -> bool {
        self.validity.is_some()
    }

    /// The row's value. None if it is null and a null has no place in a `T`. Without `NULLS`, no row is taken for null.
    #[inline]
    pub fn read<const NULLS: bool>(&self, row: usize) -> Option<T> {
        if NULLS && self.is_null(row) { T::null() } else { Some(T::get(&self.values, row)) }
    }
}

/// Arrow's bitmaps start at the least significant bit.
#[inline]
fn bit(bits: &[u8], row: usize) -> bool {
    bits[row / 8] >> (row % 8) & 1 == 1
}

impl<'a, T: Read<'a>> Read<'a> for Option<T> {
    const KIND: Kind = T::KIND;
    type Values = T::Values;

    #[inline]
    fn values(column: &'a Column, rows: usize) -> Result<Self::Values, String> {
        T::values(column, rows)
    }

    #[inline]
    fn get(values: &Self::Values, row: usize) -> Self {
        Some(T::get(values, row))
    }

    #[inline]
    fn null() -> Option<Self> {
        Some(None)
    }
}

impl<'a> Read<'a> for bool {
    const KIND: Kind = Kind::Boolean;
    type Values = &'a [u8];

    fn values(column: &'a Column, rows: usize) -> Result<Self::Values, String> {
        if column.values.len() < rows.div_ceil(8) {
            return Err(format!("a bitmap of {} bytes for {rows} rows", column.values.len()));
        }
        Ok(&column.values)
    }

    #[inline]
    fn get(values: &Self::Values, row: usize) -> bool {
        bit(values, row)
    }
}

/// The values of a column that has N bytes a row.
pub(crate) fn words<const N: usize>(column: &Column, rows: usize) -> Result<&[[u8; N]], String> {
    match column.values.as_chunks::<N>() {
        (words, []) if words.len() == rows => Ok(words),
        _ => Err(format!("{} bytes of values for {rows} rows of {N} bytes", column.values.len())),
    }
}

/// Values of any length: a text or bytes, and where each row ends. Offsets that don't ascend within the values trap; the
/// host sends Arrow arrays, which it has checked.
pub struct Slices<'a, T: ?Sized> {
    offsets: &'a [[u8; 4]],
    values: &'a T,
}

impl<'a, T: ?Sized> Slices<'a, T> {
    fn new(column: &'a Column, rows: usize, values: &'a T) -> Result<Self, String> {
        match column.offsets.as_chunks::<4>() {
            (offsets, []) if offsets.len() == rows + 1 => Ok(Slices { offsets, values }),
            _ => Err(format!("{} bytes of offsets for {rows} rows", column.offsets.len())),
        }
    }

    #[inline]
    fn range(&self, row: usize) -> std::ops::Range<usize> {
        let end = |row: usize| u32::from_le_bytes(self.offsets[row]) as usize;
        end(row)..end(row + 1)
    }
}

impl<'a> Read<'a> for &'a str {
    const KIND: Kind = Kind::Utf8;
    type Values = Slices<'a, str>;

    fn values(column: &'a Column, rows: usize) -> Result<Self::Values, String> {
        let text = std::str::from_utf8(&column.values).map_err(|error| format!("a text column: {error}"))?;
        Slices::new(column, rows, text)
    }

    #[inline]
    fn get(values: &Self::Values, row: usize) -> &'a str {
        &values.values[values.range(row)]
    }
}

/// Owned text, for states that keep one. It allocates: read rows as `&str`.
impl<'a> Read<'a> for String {
    const KIND: Kind = Kind::Utf8;
    type Values = Slices<'a, str>;

    fn values(column: &'a Column, rows: usize) -> Result<Self::Values, String> {
        <&str>::values(column, rows)
    }

    #[inline]
    fn get(values: &Self::Values, row: usize) -> String {
        <&str>::get(values, row).to_owned()
    }
}

impl<'a> Read<'a> for &'a [u8] {
    const KIND: Kind = Kind::Binary;
    type Values = Slices<'a, [u8]>;

    fn values(column: &'a Column, rows: usize) -> Result<Self::Values, String> {
        Slices::new(column, rows, &column.values)
    }

    #[inline]
    fn get(values: &Self::Values, row: usize) -> &'a [u8] {
        &values.values[values.range(row)]
    }
}
