//! Join of one batch with a lookup: each distinct key is asked for once, and the answers are spread over the rows.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, UInt32Array};
use arrow_select::take::take;

use super::Join;
use crate::batch::Batch;
use crate::fold::Groups;
use crate::lookup::{Found, Lookup, LookupError};
use crate::schema::{Field, Kind};

/// Buffers of one lookup step, kept between batches.
#[derive(Debug, Default)]
pub(super) struct Joiner {
    distinct: Option<Groups>,
    key_of_row: Vec<u32>,
}

impl Joiner {
    /// Joins the batch. `at_fault` is told of each record with a row at fault, and the reason: its key must be in the table and
    /// isn't, or the table's row is unfit.
    pub(super) fn apply(
        &mut self,
        lookup: &mut dyn Lookup,
        key: usize,
        fields: &[Field],
        join: Join,
        batch: Batch,
        mut at_fault: impl FnMut(usize, &str),
    ) -> Result<Batch, LookupError> {
        let key = batch.columns.get(key).cloned().flatten().ok_or_else(|| unusable("the key column is missing"))?;
        let texts = self.distinct_keys(&key, batch.rows)?;
        let asked: Vec<&[u8]> = texts.iter().flatten().map(String::as_bytes).collect();
        let found = lookup.get(&asked)?;
        check(&found, asked.len(), fields)?;
        // For each distinct key that isn't null its place in the answer; and the same if it is found.
        let mut place = 0u32..;
        let places: Vec<Option<u32>> = texts.iter().map(|text| text.as_ref().and_then(|_| place.next())).collect();
        let is_found = |place: &u32| found.found[*place as usize];
        let answers: Vec<Option<u32>> = places.iter().map(|place| place.filter(is_found)).collect();
        for (key, why) in &found.unfit {
            let asks = |row: &usize| places[self.key_of_row[*row] as usize].is_some_and(|place| place as usize == *key);
            (0..batch.rows).filter(asks).for_each(|row| at_fault(batch.origins.record(row), why));
        }
        if join == Join::Required && answers.iter().any(Option::is_none) {
            let unanswered = |row: &usize| answers[self.key_of_row[*row] as usize].is_none();
            let missing = |row| at_fault(batch.origins.record(row), "the lookup has no row for its key");
            (0..batch.rows).filter(unanswered).for_each(missing);
        }
        self.spread(&found.columns, &answers, join, batch)
    }

    /// The distinct keys as text, null for the null key; and the key of each row.
    fn distinct_keys(&mut self, key: &ArrayRef, rows: usize) -> Result<Vec<Option<String>>, LookupError> {
        let kind = Kind::of(key.data_type()).ok_or_else(|| unusable("the key column has an unknown type"))?;
        let groups = self.distinct.get_or_insert_with(|| Groups::new(vec![kind]));
        groups.clear();
        groups
            .assign(std::slice::from_ref(key), rows, &mut self.key_of_row)
            .ok_or_else(|| unusable("the key column has an unknown type"))?;
        let all: Vec<u32> = (0..u32::try_from(groups.len()).unwrap_or(u32::MAX)).collect();
        let columns = groups.key_columns(&all);
        let keys = columns.first().ok_or_else(|| unusable("the key column is missing"))?;
        Ok(match kind {
            Kind::Int64 => keys.as_primitive::<Int64Type>().iter().map(|key| key.map(|key| key.to_string())).collect(),
            _ => keys.as_string::<i32>().iter().map(|key| key.map(str::to_owned)).collect(),
        })
    }

    fn spread(
        &self,
        found: &[ArrayRef],
        answers: &[Option<u32>],
        join: Join,
        batch: Batch,
    ) -> Result<Batch, LookupError> {
        let answer_of = |row: usize| answers[self.key_of_row[row] as usize];
        let all_found = answers.iter().all(Option::is_some);
        let kept: Option<Vec<u32>> = (join != Join::Left && !all_found).then(|| {
            // Rows of a batch are bounded far below u32::MAX.
            (0u32..).take(batch.rows).filter(|row| answer_of(*row as usize).is_some()).collect()
        });
        let (mut columns, origins, places) = match kept {
            None => (batch.columns, batch.origins, (0..batch.rows).map(answer_of).collect::<UInt32Array>()),
            Some(kept) => {
                let places = kept.iter().map(|row| answer_of(*row as usize)).collect();
                let origins = batch.origins.select(&kept);
                let selection = UInt32Array::from(kept);
                let columns =
                    batch.columns.iter().map(|column| column.as_ref().map(|c| pick(c, &selection)).transpose());
                (columns.collect::<Result<_, _>>()?, origins, places)
            }
        };
        for column in found {
            columns.push(Some(pick(column, &places)?));
        }
        Ok(Batch { rows: places.len(), columns, origins })
    }
}

fn check(found: &Found, keys: usize, fields: &[Field]) -> Result<(), LookupError> {
    let fits = found.found.len() == keys
        && found.columns.len() == fields.len()
        && found
            .columns
            .iter()
            .zip(fields)
            .all(|(array, field)| array.len() == keys && *array.data_type() == field.kind.data_type());
    if fits { Ok(()) } else { Err(unusable("the lookup answered other columns than asked")) }
}

fn pick(column: &ArrayRef, rows: &UInt32Array) -> Result<ArrayRef, LookupError> {
    take(column, rows, None).map_err(|e| LookupError::Unusable(format!("the joined column is too large: {e}")))
}

fn unusable(sentence: &str) -> LookupError {
    LookupError::Unusable(sentence.to_owned())
}
