//! Values of a row that a server gave. Each is an array of one, which the core turns into bytes as it does with its own.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use sluice_core::Kind;
use sluice_core::column::ColumnBuilder;

use super::encoding::Encoding;

/// A value of a row, or null: an array of one.
pub(crate) type Cell = ArrayRef;

pub(crate) fn null(kind: Kind) -> Cell {
    new_null_array(&kind.data_type(), 1)
}

pub(crate) fn boolean(value: bool) -> Cell {
    Arc::new(BooleanArray::from(vec![value]))
}

pub(crate) fn int64(value: i64) -> Cell {
    Arc::new(Int64Array::from(vec![value]))
}

pub(crate) fn float64(value: f64) -> Cell {
    Arc::new(Float64Array::from(vec![value]))
}

pub(crate) fn utf8(value: &str) -> Cell {
    Arc::new(StringArray::from(vec![value]))
}

pub(crate) fn binary(value: &[u8]) -> Cell {
    Arc::new(BinaryArray::from(vec![value]))
}

/// Microseconds of wall-clock time since 1970.
pub(crate) fn timestamp(micros: i64) -> Cell {
    Arc::new(TimestampMicrosecondArray::from(vec![micros]))
}

/// The value of this text; none if the kind has none of such a text.
pub(crate) fn of_text(kind: Kind, text: &str) -> Option<Cell> {
    let mut column = ColumnBuilder::new(kind);
    column.append_text(Some(text)).ok()?;
    Some(column.finish())
}

/// The value in bytes of this encoding; none if they are too many or too few.
pub(crate) fn decoded(encoding: Encoding, bytes: &[u8]) -> Option<Cell> {
    Some(match encoding {
        Encoding::Long => int64(i64::from_be_bytes(bytes.try_into().ok()?)),
        Encoding::Int => int64(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        Encoding::Short => int64(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        Encoding::Double => float64(f64::from_be_bytes(bytes.try_into().ok()?)),
        Encoding::Float => float64(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        Encoding::Boolean => boolean(<[u8; 1]>::try_from(bytes).ok()? != [0]),
    })
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn bytes_are_read_as_java_wrote_them_and_only_if_they_are_so_many() {
        let read = |encoding, bytes: &[u8]| decoded(encoding, bytes).map(|cell| cell.to_data());
        assert_eq!(read(Encoding::Long, &[0, 0, 0, 0, 0, 0, 1, 2]), Some(int64(258).to_data()));
        assert_eq!(read(Encoding::Int, &[0xff; 4]), Some(int64(-1).to_data()));
        assert_eq!(read(Encoding::Short, &[0x80, 0]), Some(int64(-32_768).to_data()));
        assert_eq!(read(Encoding::Double, &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0]), Some(float64(1.5).to_data()));
        assert_eq!(read(Encoding::Float, &[0x3f, 0xc0, 0, 0]), Some(float64(1.5).to_data()));
        assert_eq!(read(Encoding::Boolean, &[0xff]), Some(boolean(true).to_data()));
        assert_eq!(read(Encoding::Boolean, &[0]), Some(boolean(false).to_data()));
        for encoding in Encoding::ALL {
            for wrong in [&b""[..], b"1234567", b"123456789"] {
                assert_eq!(read(encoding, wrong), None, "{encoding:?}");
            }
        }
    }
}
