//! The service's checkpoint store.

use std::path::{Path, PathBuf};

use sluice_core::checkpoint::StoreError;
use sluice_store::{Histories, Store};

use crate::config::Config;
use crate::private;

/// Memory in which the store keeps parts of the files that it reads, for all pipelines of the service; groups that pipelines work
/// on have memory of their own (`state.memory`). Less than the filters and indices of 20 million groups, some 40 MB, would read
/// those again for each group; more would keep states twice.
const CACHE_BYTES: u64 = 64 << 20;

/// Opens it, and holds it against other hosts until it is dropped.
pub fn open(config: &Config) -> Result<Store, StoreError> {
    private::directory(&config.state)
        .map_err(|error| StoreError::Unusable(format!("the state directory {}: {error}", config.state.display())))?;
    Store::open(&directory(&config.state), CACHE_BYTES)
}

/// Opens the histories of the pipelines of a service with this state directory, even while its host runs.
pub fn histories(state: &Path) -> Histories {
    Histories::of(&directory(state))
}

fn directory(state: &Path) -> PathBuf {
    state.join("checkpoints")
}
