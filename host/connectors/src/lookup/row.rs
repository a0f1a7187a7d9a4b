//! A row as it is remembered, and rows as columns.

use std::sync::Arc;
use std::time::Instant;

use sluice_core::Kind;
use sluice_core::lookup::{Found, LookupError};
use sluice_core::row;

use super::cell::{self, Cell};

/// The bytes that a row costs beside its key and values: its headers here, its place in the cache.
const ROW_OVERHEAD: usize = 160;

/// Answer of a table to a key.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// No row.
    Absent,
    /// The row's cells, in the bytes of [`sluice_core::row`].
    Cells(Box<[u8]>),
    /// The row holds something else than what was asked for. The text is the reason.
    Unfit(Box<str>),
}

impl Answer {
    /// The answer of these cells; unfit if one isn't.
    pub(crate) fn of(cells: impl Iterator<Item = Result<Cell, String>>) -> Answer {
        let encoded = cells.collect::<Result<Vec<_>, _>>().and_then(|cells| encode(&cells));
        encoded.map_or_else(|why| Answer::Unfit(why.into()), |cells| Answer::Cells(cells.into()))
    }

    /// Returns the bytes of its values.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Answer::Absent => 0,
            Answer::Cells(cells) => cells.len(),
            Answer::Unfit(why) => why.len(),
        }
    }
}

fn encode(cells: &[Cell]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let is_row = row::encode(cells, 0, &mut bytes);
    is_row.then_some(bytes).ok_or_else(|| "its cells are of no kind; this is a defect".to_owned())
}

/// An answer as of some time.
#[derive(Debug)]
pub(super) struct Row {
    /// The moment from which on it is to be asked for again.
    pub(super) until: Instant,
    pub(super) answer: Answer,
}

impl Row {
    /// Returns the approximate bytes of the row, with a key of this length.
    pub(super) fn bytes(&self, key: usize) -> usize {
        ROW_OVERHEAD + key + self.answer.bytes()
    }
}

/// The rows as a lookup's answer.
pub(super) fn found(rows: &[Arc<Row>], kinds: &[Kind]) -> Result<Found, LookupError> {
    let defect = |why: &str| LookupError::Unusable(format!("{why}; this is a defect"));
    let nulls: Vec<_> = kinds.iter().map(|kind| cell::null(*kind)).collect();
    let nulls = encode(&nulls).map_err(|why| defect(&why))?;
    let bytes = rows.iter().map(|row| match &row.answer {
        Answer::Cells(cells) => cells.as_ref(),
        Answer::Absent | Answer::Unfit(_) => nulls.as_slice(),
    });
    let columns = row::decode(kinds, bytes).ok_or_else(|| defect("the remembered rows aren't of the asked kinds"))?;
    let unfit = rows.iter().enumerate().filter_map(|(key, row)| match &row.answer {
        Answer::Unfit(why) => Some((key, why.to_string())),
        Answer::Absent | Answer::Cells(_) => None,
    });
    let found = rows.iter().map(|row| matches!(row.answer, Answer::Cells(_))).collect();
    Ok(Found { found, columns, unfit: unfit.collect() })
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn rows_of_any_kinds_are_columns_again_and_what_is_absent_or_unfit_is_null() {
        let kinds = Kind::ALL;
        let nulls = Answer::of(kinds.iter().map(|kind| Ok(cell::null(*kind))));
        let values = Answer::of(
            [
                cell::boolean(true),
                cell::int64(-7),
                cell::float64(0.5),
                cell::utf8("é"),
                cell::binary(&[0xff]),
                cell::timestamp(1),
                cell::of_text(Kind::Date, "2021-08-16").unwrap(),
                cell::of_text(Kind::ALL[7], "-1.50").unwrap(),
            ]
            .into_iter()
            .map(Ok),
        );
        let unfit = Answer::of([Ok(cell::int64(1)), Err("no".to_owned())].into_iter());
        let until = Instant::now();
        let rows = [values, nulls, unfit, Answer::Absent].map(|answer| Arc::new(Row { until, answer }));
        let found = found(&rows, &kinds).unwrap();
        assert_eq!(found.found, [true, true, false, false]);
        assert_eq!(found.unfit, [(2, "no".to_owned())]);
        for (column, kind) in found.columns.iter().zip(kinds) {
            assert_eq!(column.data_type(), &kind.data_type());
            assert_eq!((0..4).map(|row| column.is_null(row)).collect::<Vec<_>>(), [false, true, true, true]);
        }
    }
}
