//! States that an older version of an operator stored.

use crate::contract::{Batch, Column, Field, Kind};
use crate::fixed;
use crate::reason::Fault;
use crate::row::ReadRow;
use crate::schema::Search;

/// States of another version, for [`Fold::migrate`](crate::Fold::migrate): many at once, as rows of that version's columns.
#[derive(Debug)]
pub struct Older {
    version: u32,
    fields: Vec<Field>,
    states: Batch,
}

impl Older {
    pub(crate) fn new(version: u32, fields: &[Field], states: Batch) -> Older {
        Older { version, fields: fields.to_vec(), states }
    }

    /// The version that stored them.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What to answer to a version that isn't taken over.
    pub fn refused<T>(&self) -> Result<T, Fault> {
        Err(Fault::from(format!("states of version {} are not taken over", self.version)))
    }

    /// Makes a new state of each old one, which has the columns of `Old`. A state that has seen nothing stays so.
    pub fn each<Old, New>(&self, migrate: impl Fn(Old) -> Result<New, Fault>) -> Result<Vec<Option<New>>, Fault>
    where
        Old: for<'a> ReadRow<'a>,
    {
        let mut search = Search::new(&self.fields);
        let places: Vec<u32> = <Old as ReadRow<'_>>::COLUMNS.iter().map(|column| search.needed(*column)).collect();
        search.finish()?;
        let columns = places.iter().map(|place| self.states.columns[*place as usize].clone()).collect();
        self.rows(Batch { rows: self.states.rows, columns }, migrate)
    }

    /// As new states, columns of the same name and kind as they are; a column that the old ones don't have is null in each.
    pub fn by_name<New>(&self) -> Result<Vec<Option<New>>, Fault>
    where
        New: for<'a> ReadRow<'a>,
    {
        let rows = self.states.rows as usize;
        let column = |needed: &crate::row::Needed| {
            let place = self.fields.iter().position(|field| field.name == needed.name);
            match place {
                None => Ok(nulls(needed.kind, rows)),
                Some(place) if self.fields[place].kind == needed.kind => Ok(self.states.columns[place].clone()),
                Some(_) => Err(Fault::from(format!("`{}` had another kind in version {}", needed.name, self.version))),
            }
        };
        let columns = <New as ReadRow<'_>>::COLUMNS.iter().map(column).collect::<Result<_, _>>()?;
        self.rows(Batch { rows: self.states.rows, columns }, Ok)
    }

    fn rows<Old, New>(
        &self,
        batch: Batch,
        migrate: impl Fn(Old) -> Result<New, Fault>,
    ) -> Result<Vec<Option<New>>, Fault>
    where
        Old: for<'a> ReadRow<'a>,
    {
        let columns = <Old as ReadRow<'_>>::columns(&batch)?;
        let state = |row| {
            if <Old as ReadRow<'_>>::is_null(&columns, row) {
                return Ok(None);
            }
            let old = <Old as ReadRow<'_>>::read::<true>(&columns, row)
                .map_err(|column| format!("`{column}` of state {row} is null, others aren't"))?;
            migrate(old).map(Some)
        };
        (0..batch.rows as usize).map(state).collect()
    }
}

/// A column of nothing but nulls.
pub(crate) fn nulls(kind: Kind, rows: usize) -> Column {
    let (offsets, values) = match kind {
        Kind::Utf8 | Kind::Binary => (vec![0; 4 * (rows + 1)], Vec::new()),
        Kind::Boolean => (Vec::new(), vec![0; rows.div_ceil(8)]),
        kind => (Vec::new(), vec![0; fixed::width(kind) * rows]),
    };
    Column { validity: Some(vec![0; rows.div_ceil(8)]), offsets, values }
}
