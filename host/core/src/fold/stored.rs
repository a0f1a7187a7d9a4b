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
    /// When each was sealed, in microseconds since 1970-01-01T00:00:00 UTC.
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

/// When a stored state was sealed. None if these bytes are no stored state.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int32Array, Int64Array};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stored_state_says_when_it_was_sealed_of_which_version_and_what_it_is(
            states in prop::collection::vec((any::<i64>(), any::<u32>(), any::<Option<i64>>()), 0..10),
        ) {
            let column: ArrayRef = Arc::new(states.iter().map(|state| state.2).collect::<Int64Array>());
            let store = |row: usize, (touched, version, _): &(i64, u32, Option<i64>)| {
                let mut out = Vec::new();
                assert!(encode_stored(*touched, *version, std::slice::from_ref(&column), row, &mut out));
                out
            };
            let stored: Vec<Vec<u8>> = states.iter().enumerate().map(|(row, state)| store(row, state)).collect();
            for (stored, (touched, version, _)) in stored.iter().zip(&states) {
                prop_assert_eq!((touched_at(stored), stored_version(stored)), (Some(*touched), Some(*version)));
            }
            let decoded = decode_states(&[Kind::Int64], stored.iter().map(Vec::as_slice)).unwrap();
            prop_assert_eq!(decoded.touched, states.iter().map(|state| state.0).collect::<Vec<_>>());
            prop_assert_eq!(decoded.columns, vec![column]);
        }
    }

    #[test]
    fn what_is_of_no_kind_is_no_state_and_too_few_bytes_are_none() {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        assert!(!encode_stored(1, 1, &[column], 0, &mut Vec::new()));
        for bytes in [&[][..], &[0; 8], &[0; 11]] {
            assert_eq!((touched_at(bytes), stored_version(bytes)), (None, None));
            assert_eq!(decode_states(&[], std::iter::once(bytes)), None);
        }
    }
}
