//! A group's state as bytes in the checkpoint store: when it was sealed (8 bytes, little-endian, microseconds since
//! 1970-01-01T00:00:00 UTC by the host's clock), then a [`row`] of the state's columns.

use arrow_array::ArrayRef;

use crate::row::{self, RowColumn};
use crate::schema::Kind;

/// Stored states as columns.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredStates {
    /// When each was sealed, in microseconds since 1970-01-01T00:00:00 UTC.
    pub touched: Vec<i64>,
    /// The state's columns.
    pub columns: Vec<ArrayRef>,
}

/// The states of these bytes. None if one isn't a state of columns of these kinds.
pub fn decode_states<'a>(kinds: &[Kind], stored: impl Iterator<Item = &'a [u8]>) -> Option<StoredStates> {
    let split: Vec<(i64, &[u8])> = stored
        .map(|bytes| bytes.split_first_chunk::<8>().map(|(touched, row)| (i64::from_le_bytes(*touched), row)))
        .collect::<Option<_>>()?;
    let columns = row::decode(kinds, split.iter().map(|(_, row)| *row))?;
    Some(StoredStates { touched: split.into_iter().map(|(touched, _)| touched).collect(), columns })
}

/// Appends the stored form of this row of a state's columns. False, and what was appended is no state, if one is of no kind.
#[must_use]
pub fn encode_stored(touched: i64, columns: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> bool {
    out.extend_from_slice(&touched.to_le_bytes());
    row::encode(columns, row, out)
}

/// Appends the stored form of this row of the states.
pub(super) fn encode_state(touched: i64, columns: &[RowColumn<'_>], row: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&touched.to_le_bytes());
    columns.iter().for_each(|column| column.encode(row, out));
}
