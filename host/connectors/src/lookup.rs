//! The parts that the lookups of different connectors share.

use std::sync::Arc;
use std::time::Instant;

use sluice_core::Kind;
use sluice_core::lookup::LookupError;

/// The source of the moment that it is; tests bring their own.
pub(crate) type InstantSource = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The machine's monotonic clock.
pub(crate) fn system_clock() -> InstantSource {
    Arc::new(sluice_clock::now)
}

/// A column that a lookup answers: its name in the table, and `Utf8` or `Binary`.
pub(crate) type LookupColumn = (String, Kind);

/// Refuses columns of kinds that no lookup answers.
pub(crate) fn check_kinds(table: &str, columns: &[LookupColumn]) -> Result<(), LookupError> {
    let wrong: Vec<_> = columns
        .iter()
        .filter(|(_, kind)| !matches!(kind, Kind::Utf8 | Kind::Binary))
        .map(|(name, kind)| format!("column `{name}` of `{table}` can't be {kind}: a lookup answers utf8 or binary"))
        .collect();
    if wrong.is_empty() { Ok(()) } else { Err(LookupError::Unusable(wrong.join("; "))) }
}
