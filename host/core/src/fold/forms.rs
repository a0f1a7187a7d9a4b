//! The forms that states have: an operator's own, and older ones that it takes over.

use std::collections::BTreeMap;

use arrow_array::ArrayRef;

use super::{FoldError, decode_states, stored_version, unplanned};
use crate::checkpoint::{CheckpointStore, StateForm, StoreError};
use crate::operator::{Columns, Operator};
use crate::schema::{Field, Kind};

/// The most states that one call to `migrate` is given, so that an answer stays within an instance's limits.
pub(super) const MIGRATE_ROWS: usize = 8_192;

/// Work that is needed before an operator can use states of another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// No work: the form is the same.
    Same,
    /// The operator is asked to migrate the states.
    Migrate,
}

/// Checks that an operator with states of the form `new` can go on with those of the form `old`. The error is a sentence that
/// begins with the new form's part. The operator itself decides whether it migrates them.
pub fn fit(new: &StateForm, old: &StateForm) -> Result<Fit, String> {
    if new.keys != old.keys {
        return Err(format!("its keys are ({}), those of the states ({})", list(&new.keys), list(&old.keys)));
    }
    if new.window != old.window {
        return Err("its window is another than that of the states".to_owned());
    }
    if new.version != old.version {
        return Ok(Fit::Migrate);
    }
    if new.columns != old.columns {
        return Err(format!(
            "its state has the columns ({}), the states ({}), but both say version {}",
            list(&new.columns),
            list(&old.columns),
            new.version
        ));
    }
    Ok(Fit::Same)
}

fn list(fields: &[Field]) -> String {
    fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Stored states, converted to an operator's own form.
pub(super) struct Loaded {
    /// Indices of the loaded states among the given ones.
    pub(super) which: Vec<usize>,
    /// Time when each state was sealed.
    pub(super) touched: Vec<i64>,
    pub(super) columns: Vec<ArrayRef>,
    /// True if the states are stored in an older form.
    pub(super) older: bool,
}

/// Reads these stored states in the form `own`: states of one of the `older` forms are migrated.
pub(super) fn load(
    own: &StateForm,
    older: &[StateForm],
    stored: &[&[u8]],
    operator: &mut dyn Operator,
) -> Result<Vec<Loaded>, FoldError> {
    let mut versions: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (index, stored) in stored.iter().enumerate() {
        let version = stored_version(stored).ok_or_else(damaged)?;
        versions.entry(version).or_default().push(index);
    }
    let mut loaded = Vec::new();
    for (version, all) in versions {
        let form = std::iter::once(own).chain(older).find(|form| form.version == version).ok_or_else(damaged)?;
        for which in all.chunks(MIGRATE_ROWS) {
            let decoded = decode_states(&kinds(&form.columns), which.iter().map(|index| stored[*index]));
            let decoded = decoded.ok_or_else(damaged)?;
            let columns = match version == own.version {
                true => decoded.columns,
                false => migrate(own, form, which.len(), &decoded.columns, operator)?,
            };
            loaded.push(Loaded {
                which: which.to_vec(),
                touched: decoded.touched,
                columns,
                older: version != own.version,
            });
        }
    }
    Ok(loaded)
}

/// Converts states of the form `old` into the form `own` by asking the operator.
pub(super) fn migrate(
    own: &StateForm,
    old: &StateForm,
    rows: usize,
    states: &[ArrayRef],
    operator: &mut dyn Operator,
) -> Result<Vec<ArrayRef>, FoldError> {
    let answer = operator.migrate(old.version, &old.columns, Columns { rows, arrays: states })?;
    let planned = answer.len() == own.columns.len()
        && answer
            .iter()
            .zip(&own.columns)
            .all(|(array, field)| array.len() == rows && *array.data_type() == field.kind.data_type());
    if planned { Ok(answer) } else { Err(unplanned("migrate", "columns").into()) }
}

/// Checks that the operator can migrate every stored state of the pipeline: it migrates each, and the result is thrown away.
/// Returns the number of states. Blocks for as long as that takes, and changes nothing.
pub fn try_migration(
    store: &dyn CheckpointStore,
    pipeline: &str,
    (own, stored_forms): (&StateForm, &[StateForm]),
    operator: &mut dyn Operator,
) -> Result<usize, FoldError> {
    let (mut after, mut groups): (Option<Vec<u8>>, _) = (None, 0);
    loop {
        let found = store.scan(pipeline, after.as_deref(), MIGRATE_ROWS)?;
        let Some((last, _)) = found.last() else { return Ok(groups) };
        let stored: Vec<&[u8]> = found.iter().map(|(_, state)| state.as_slice()).collect();
        load(own, stored_forms, &stored, operator)?;
        groups += found.len();
        after = Some(last.clone());
    }
}

pub(super) fn kinds(fields: &[Field]) -> Vec<Kind> {
    fields.iter().map(|field| field.kind).collect()
}

/// Returns the error for damaged states; the store adds the pipeline's name.
fn damaged() -> FoldError {
    FoldError::Store(StoreError::Damaged("a state has not the form that its version says".to_owned()))
}
