//! A group's state as bytes in the checkpoint store: when it was sealed (8 bytes, microseconds since 1970-01-01T00:00:00 UTC by
//! the host's clock), the version of its form (4 bytes), then a [`row`] of the state's columns. Numbers are little-endian.
//!
//! The version is with each state, since states of several versions are there while a newer operator rewrites them.

use arrow_array::ArrayRef;

use crate::row::{self, RowColumn};
use crate::schema::Kind;

/// Stored states as columns.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredStates {
    /// Time when each state was sealed, in microseconds since 1970-01-01T00:00:00 UTC.
    pub touched: Vec<i64>,
    /// The state's columns.
    pub columns: Vec<ArrayRef>,
}

/// The version of the form of a stored state. None if these bytes are no stored state.
pub fn stored_version(stored: &[u8]) -> Option<u32> {
    split(stored).map(|(_, version, _)| version)
}

/// The states of these bytes, whatever their version. None if one isn't a state of columns of these kinds.
pub fn decode_states<'a>(kinds: &[Kind], stored: impl Iterator<Item = &'a [u8]>) -> Option<StoredStates> {
    let split: Vec<(i64, &[u8])> =
        stored.map(|bytes| split(bytes).map(|(touched, _, row)| (touched, row))).collect::<Option<_>>()?;
    let columns = row::decode(kinds, split.iter().map(|(_, row)| *row))?;
    Some(StoredStates { touched: split.into_iter().map(|(touched, _)| touched).collect(), columns })
}

/// Returns the time when a stored state was sealed. None if these bytes are not a stored state.
pub(super) fn touched_at(stored: &[u8]) -> Option<i64> {
    split(stored).map(|(touched, _, _)| touched)
}

fn split(stored: &[u8]) -> Option<(i64, u32, &[u8])> {
    let (touched, rest) = stored.split_first_chunk::<8>()?;
    let (version, row) = rest.split_first_chunk::<4>()?;
    Some((i64::from_le_bytes(*touched), u32::from_le_bytes(*version), row))
}

/// Appends the stored form of this row of a state's columns. False, and what was appended is no state, if one is of no kind.
#[must_use]
pub fn encode_stored(touched: i64, version: u32, columns: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> bool {
    begin(touched, version, out);
    row::encode(columns, row, out)
}

/// Appends the stored form of this row of the states.
pub(super) fn encode_state(touched: i64, version: u32, columns: &[RowColumn<'_>], row: usize, out: &mut Vec<u8>) {
    begin(touched, version, out);
    columns.iter().for_each(|column| column.encode(row, out));
}

fn begin(touched: i64, version: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&touched.to_le_bytes());
    out.extend_from_slice(&version.to_le_bytes());
}
