//! Sessions of a fold that grow together: the states of those that become one are merged.

use std::collections::BTreeMap;

use arrow_array::ArrayRef;

use super::windowed::key_of;
use super::{Fold, FoldError, Groups, unplanned};
use crate::operator::{Columns, Operator, OperatorError};
use crate::schema::Kind;
use crate::window::{Joined, Span, Window};

/// A session that becomes part of a larger one.
pub(super) struct Move {
    /// The group of the session that there was.
    pub(super) from: u32,
    /// Key of the session that it is part of now, whose group the batch brings.
    to: Vec<u8>,
}

impl Fold {
    /// Makes of the spans that rows open the sessions that the rows are in, and says which sessions there were become part of
    /// them. Nothing for windows of a fixed size.
    pub(super) fn join_sessions(&self, keys: &[ArrayRef], spans: &mut [Span]) -> Result<Vec<Move>, FoldError> {
        let Some(windowed) = &self.windowed else { return Ok(Vec::new()) };
        if !matches!(windowed.windows.options().window, Window::Session { .. }) {
            return Ok(Vec::new());
        }
        let (distinct, key_of_row) = distinct(keys, spans.len())?;
        let mut opened = vec![Vec::new(); distinct.len()];
        for (key, span) in key_of_row.iter().zip(&*spans) {
            opened[*key as usize].push(*span);
        }
        let joined: Vec<Joined> =
            (0u32..).zip(opened).map(|(key, spans)| windowed.sessions.join(distinct.key(key), spans)).collect();
        for (key, span) in key_of_row.iter().zip(spans) {
            *span = joined[*key as usize].session_of(*span);
        }
        let moved = (0u32..).zip(&joined).flat_map(|(key, joined)| joined.moves.iter().map(move |moves| (key, moves)));
        let found = moved.filter_map(|(key, (from, to))| {
            let base = distinct.key(key);
            Some(Move { from: self.groups.find(&key_of(base, *from))?, to: key_of(base, *to) })
        });
        Ok(found.collect())
    }

    /// Gives the groups that sessions become part of, which are new and have no state, the states of those sessions.
    pub(super) fn move_states(&mut self, operator: &mut dyn Operator, moves: &[Move]) -> Result<(), FoldError> {
        let mut parts: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for moved in moves {
            if let Some(to) = self.groups.find(&moved.to) {
                parts.entry(to).or_default().push(moved.from);
            }
        }
        let most = parts.values().map(Vec::len).max().unwrap_or(0);
        for round in 0..most {
            let pairs = parts.iter().filter_map(|(to, from)| Some((*to, *from.get(round)?)));
            let (to, from): (Vec<u32>, Vec<u32>) = pairs.unzip();
            let mut states = self.states.gather(&from);
            if round > 0 {
                let before = self.states.gather(&to);
                let (left, right) =
                    (Columns { rows: to.len(), arrays: &before }, Columns { rows: to.len(), arrays: &states });
                states = operator.merge(left, right)?;
            }
            if !self.states.scatter(&to, &states) {
                return Err(unplanned("merge", "states").into());
            }
        }
        Ok(())
    }
}

/// Returns the distinct keys, and the index of each row's key among them.
fn distinct(keys: &[ArrayRef], rows: usize) -> Result<(Groups, Vec<u32>), OperatorError> {
    let kinds: Option<Vec<Kind>> = keys.iter().map(|key| Kind::of(key.data_type())).collect();
    let unknown = || OperatorError::Contract("a key column is of no kind that can be grouped".to_owned());
    let mut distinct = Groups::new(kinds.ok_or_else(unknown)?);
    let mut key_of_row = Vec::new();
    distinct.assign(keys, rows, &mut key_of_row).ok_or_else(unknown)?;
    Ok((distinct, key_of_row))
}
