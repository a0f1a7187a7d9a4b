//! Last row of each key, among the rows of a flush.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, UInt32Array};
use arrow_select::concat::concat;
use arrow_select::take::take;

use crate::fold::Groups;
use crate::port::Refused;
use crate::rows::Rows;
use crate::schema::Kind;

/// Rows of several batches as one.
#[derive(Debug)]
pub struct Latest {
    pub rows: Rows,
    /// The places of these rows among all; none if they are all.
    picked: Option<UInt32Array>,
}

impl Latest {
    /// Converts the places of refused rows from places in this selection to places among the rows of all batches.
    pub fn among_all(&self, refused: Vec<Refused>) -> Vec<Refused> {
        let place = |row: usize| self.picked.as_ref().map_or(row, |picked| picked.value(row) as usize);
        refused.into_iter().map(|refused| Refused { row: place(refused.row), ..refused }).collect()
    }
}

/// Joins the batches and keeps only the last row of each key. Without a key, all rows are kept.
pub fn latest(batches: &[&Rows], key: &[usize]) -> Result<Latest, String> {
    let columns = joined(batches)?;
    let rows = columns.first().map_or(0, |column| column.len());
    let keys: Vec<ArrayRef> = key.iter().filter_map(|i| columns.get(*i).cloned()).collect();
    let kinds: Option<Vec<Kind>> = keys.iter().map(|column| Kind::of(column.data_type())).collect();
    let mut groups = Groups::new(kinds.ok_or("a key column has an unknown type")?);
    let mut group_of_row = Vec::new();
    groups.assign(&keys, rows, &mut group_of_row).ok_or("a key column has an unknown type")?;
    if keys.is_empty() || groups.len() == rows {
        return Ok(Latest { rows: Rows { rows, columns }, picked: None });
    }
    let mut last = vec![0u32; groups.len()];
    for (row, group) in (0u32..).zip(&group_of_row) {
        last[*group as usize] = row;
    }
    last.sort_unstable();
    let selection = UInt32Array::from(last);
    let columns = columns.iter().map(|column| take(column, &selection, None).map_err(|e| e.to_string()));
    let rows = Rows { rows: selection.len(), columns: columns.collect::<Result<_, _>>()? };
    Ok(Latest { rows, picked: Some(selection) })
}

/// The rows, with the generation that made them as another column.
pub fn with_generation(mut rows: Rows, generation: u64) -> Rows {
    let generation = i64::try_from(generation).unwrap_or(i64::MAX);
    rows.columns.push(Arc::new(Int64Array::from_value(generation, rows.rows)));
    rows
}

fn joined(batches: &[&Rows]) -> Result<Vec<ArrayRef>, String> {
    let [first, rest @ ..] = batches else { return Ok(Vec::new()) };
    if rest.is_empty() {
        return Ok(first.columns.clone());
    }
    (0..first.columns.len())
        .map(|i| {
            let parts: Vec<&dyn Array> =
                batches.iter().filter_map(|batch| Some(batch.columns.get(i)?.as_ref())).collect();
            concat(&parts).map_err(|e| e.to_string())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn of_each_key_only_the_last_row_is_left(batches in prop::collection::vec(
            prop::collection::vec((0i64..5, any::<i64>()), 0..20), 1..5,
        )) {
            let rows: Vec<Rows> = batches.iter().map(|batch| {
                let (keys, values): (Vec<i64>, Vec<i64>) = batch.iter().copied().unzip();
                let columns: Vec<ArrayRef> = vec![
                    Arc::new(arrow_array::Int64Array::from(keys)),
                    Arc::new(arrow_array::Int64Array::from(values)),
                ];
                Rows { rows: batch.len(), columns }
            }).collect();
            let expected: BTreeMap<i64, i64> = batches.concat().into_iter().collect();
            let latest = latest(&rows.iter().collect::<Vec<_>>(), &[0]).unwrap();
            let all: Vec<(i64, i64)> = batches.concat();
            let refused = (0..latest.rows.rows).map(|row| Refused { row, reason: String::new() }).collect();
            let places: Vec<usize> = latest.among_all(refused).into_iter().map(|refused| refused.row).collect();
            let latest = latest.rows;
            let pairs: Vec<(i64, i64)> = latest.columns[0].as_primitive::<Int64Type>().values().iter().copied()
                .zip(latest.columns[1].as_primitive::<Int64Type>().values().iter().copied()).collect();
            prop_assert_eq!(pairs.len(), expected.len());
            prop_assert_eq!(&pairs, &places.into_iter().map(|place| all[place]).collect::<Vec<_>>());
            prop_assert_eq!(pairs.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }
}
