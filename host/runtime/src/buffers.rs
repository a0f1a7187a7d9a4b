//! Columns across the boundary: Arrow arrays to the contract's buffers, and a guest's buffers to Arrow arrays.
//!
//! Both sides have Arrow's layout, so on the way in a column is lent as it lies, and on the way out the guest's bytes
//! become the array's, once each was checked. Only what a slice moved (bit offsets, first offsets that aren't 0) and
//! what came back misaligned is copied. Whatever the bytes are, the answer is an array or a [`Defect`], never a panic.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, StringArray};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer, ToByteSlice};
use sluice_core::Kind;
use sluice_core::column::{beyond_kind, fixed_array, fixed_buffer};
use sluice_core::schema::Layout;

#[cfg(target_endian = "big")]
compile_error!("the contract's buffers are little-endian and are lent as they lie");

/// A column's buffers as a guest is to see them: exactly as long as its rows need.
pub(crate) struct Lent {
    pub(crate) validity: Option<Buffer>,
    pub(crate) offsets: Buffer,
    pub(crate) values: Buffer,
}

/// A column's buffers as a guest answered them: nothing is known about them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answered {
    pub(crate) validity: Option<Vec<u8>>,
    pub(crate) offsets: Vec<u8>,
    pub(crate) values: Vec<u8>,
}

/// The reason why buffers are no column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Defect {
    #[error("its {buffer} must be {expected} bytes for {rows} rows and are {found}")]
    Length { buffer: &'static str, expected: usize, rows: usize, found: usize },
    #[error("its first offset must be 0 and is {0}")]
    FirstOffset(i32),
    #[error("its offsets must never fall: row {row} goes from {start} to {end}")]
    FallingOffset { row: usize, start: i32, end: i32 },
    #[error("its last offset is {last}, past its {values} bytes of values")]
    LastOffset { last: i32, values: usize },
    #[error("row {row} has a value beyond those of its kind")]
    Beyond { row: usize },
    #[error("its text is not UTF-8: {0}")]
    NotUtf8(String),
    #[error("it has {0} rows, more than a column can have")]
    Rows(usize),
}

/// Lends an array that is of this kind; none if it is of another.
pub(crate) fn lend(array: &ArrayRef, kind: Kind) -> Option<Lent> {
    let (offsets, values) = match kind {
        Kind::Boolean => {
            let bits = array.as_any().downcast_ref::<BooleanArray>()?.values();
            (empty(), bitmap(bits))
        }
        Kind::Utf8 => {
            let array = array.as_any().downcast_ref::<StringArray>()?;
            bytes(array.offsets(), array.values())
        }
        Kind::Binary => {
            let array = array.as_any().downcast_ref::<BinaryArray>()?;
            bytes(array.offsets(), array.values())
        }
        kind => (empty(), fixed(array, kind)?),
    };
    let validity = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| bitmap(nulls.inner()));
    Some(Lent { validity, offsets, values })
}

fn empty() -> Buffer {
    Buffer::from_vec(Vec::<u8>::new())
}

/// Starts at bit 0, and ends with the byte that holds the last bit.
fn bitmap(bits: &BooleanBuffer) -> Buffer {
    bits.sliced().slice_with_length(0, bits.len().div_ceil(8))
}

/// The bytes of an array of a kind of fixed width.
fn fixed(array: &ArrayRef, kind: Kind) -> Option<Buffer> {
    let Layout::Fixed(width) = kind.layout() else { return None };
    let buffer = fixed_buffer(array).filter(|_| *array.data_type() == kind.data_type())?;
    Some(buffer.slice_with_length(0, array.len() * width.bytes()))
}

/// Offsets from 0, and the bytes that they span.
fn bytes(offsets: &OffsetBuffer<i32>, values: &Buffer) -> (Buffer, Buffer) {
    let (first, last) = (offsets.first(), offsets.last());
    let spanned = values.slice_with_length(first.as_usize(), (last - first).as_usize());
    let offsets = if first == 0 {
        offsets.inner().inner().slice_with_length(0, offsets.len() * size_of::<i32>())
    } else {
        Buffer::from_vec(offsets.iter().map(|offset| offset - first).collect::<Vec<i32>>())
    };
    (offsets, spanned)
}

/// The bytes of `accumulate`'s groups.
pub(crate) fn group_bytes(groups: &[i32]) -> &[u8] {
    groups.to_byte_slice()
}

/// Makes an array of `rows` rows of this kind from a guest's buffers.
pub(crate) fn accept(answered: Answered, kind: Kind, rows: usize) -> Result<ArrayRef, Defect> {
    let Answered { validity, offsets, values } = answered;
    // Keeps every length below from overflowing; a result's bytes are bounded far lower.
    if i32::try_from(rows).is_err() {
        return Err(Defect::Rows(rows));
    }
    let nulls = validity.map(|bits| accept_bits("validity bits", bits, rows)).transpose()?.map(NullBuffer::new);
    if !matches!(kind, Kind::Utf8 | Kind::Binary) {
        check_length("offsets", &offsets, 0, rows)?;
    }
    Ok(match kind {
        Kind::Boolean => Arc::new(BooleanArray::new(accept_bits("values", values, rows)?, nulls)),
        Kind::Utf8 => {
            let (offsets, values) = accept_bytes(offsets, values, rows)?;
            let array = StringArray::try_new(offsets, values, nulls);
            Arc::new(array.map_err(|error| not_utf8(&error.to_string()))?)
        }
        Kind::Binary => {
            let (offsets, values) = accept_bytes(offsets, values, rows)?;
            Arc::new(BinaryArray::new(offsets, values, nulls))
        }
        kind => accept_fixed(values, kind, nulls, rows)?,
    })
}

/// Arrow's sentence without the name of its error.
fn not_utf8(error: &str) -> Defect {
    Defect::NotUtf8(error.strip_prefix("Invalid argument error: ").unwrap_or(error).to_owned())
}

/// The int32 of a `selection`, one for each row of the result.
pub(crate) fn accept_selection(answered: &[u8], rows: usize) -> Result<Vec<i32>, Defect> {
    check_length("int32", answered, rows.saturating_mul(4), rows)?;
    let (indices, _) = answered.as_chunks::<4>();
    Ok(indices.iter().map(|index| i32::from_le_bytes(*index)).collect())
}

fn accept_bits(buffer: &'static str, bits: Vec<u8>, rows: usize) -> Result<BooleanBuffer, Defect> {
    check_length(buffer, &bits, rows.div_ceil(8), rows)?;
    Ok(BooleanBuffer::new(Buffer::from_vec(bits), 0, rows))
}

/// The array of a kind of fixed width, of which no value is one that the kind can't hold.
fn accept_fixed(values: Vec<u8>, kind: Kind, nulls: Option<NullBuffer>, rows: usize) -> Result<ArrayRef, Defect> {
    let width = match kind.layout() {
        Layout::Fixed(width) => width.bytes(),
        Layout::Bits | Layout::Bytes => 0,
    };
    let expected = rows.saturating_mul(width);
    check_length("values", &values, expected, rows)?;
    let misfit = Defect::Length { buffer: "values", expected, rows, found: values.len() };
    let array = fixed_array(kind, rows, Buffer::from_vec(values), nulls).ok_or(misfit)?;
    match beyond_kind(&array) {
        Some(row) => Err(Defect::Beyond { row }),
        None => Ok(array),
    }
}

fn accept_bytes(offsets: Vec<u8>, values: Vec<u8>, rows: usize) -> Result<(OffsetBuffer<i32>, Buffer), Defect> {
    check_length("offsets", &offsets, (rows + 1).saturating_mul(4), rows)?;
    let offsets = scalars::<i32>(offsets);
    let (first, last) = (offsets[0], offsets[rows]);
    if first != 0 {
        return Err(Defect::FirstOffset(first));
    }
    // Without an early exit, so that it compiles to vector instructions; the row is searched for only once it is known.
    if offsets.windows(2).fold(false, |falls, pair| falls | (pair[1] < pair[0])) {
        let row = offsets.windows(2).position(|pair| pair[1] < pair[0]).unwrap_or(rows);
        return Err(Defect::FallingOffset { row, start: offsets[row], end: offsets[row + 1] });
    }
    if last.as_usize() > values.len() {
        return Err(Defect::LastOffset { last, values: values.len() });
    }
    Ok((OffsetBuffer::new(offsets), Buffer::from_vec(values)))
}

fn check_length(buffer: &'static str, bytes: &[u8], expected: usize, rows: usize) -> Result<(), Defect> {
    if bytes.len() == expected { Ok(()) } else { Err(Defect::Length { buffer, expected, rows, found: bytes.len() }) }
}

/// Numbers from bytes whose length was checked. They came as bytes, so nothing says where they lie: most allocators
/// align blocks of this size well enough, and otherwise (also for none at all) they are copied to where they fit.
fn scalars<T: ArrowNativeType>(bytes: Vec<u8>) -> ScalarBuffer<T> {
    let count = bytes.len() / size_of::<T>();
    let aligned = bytes.as_ptr().align_offset(align_of::<T>()) == 0;
    let buffer = if aligned { Buffer::from_vec(bytes) } else { Buffer::from_slice_ref(&bytes) };
    ScalarBuffer::new(buffer, 0, count)
}

#[cfg(test)]
mod tests;
