//! The runtime that drives what a thread of its own waits for.

use sluice_core::lookup::LookupError;
use tokio::runtime::Handle;

/// The runtime of whoever calls.
pub(crate) fn runtime() -> Result<Handle, LookupError> {
    Handle::try_current().map_err(|error| LookupError::Unusable(format!("{error}; this is a defect")))
}
