//! The operators that pipelines ran: kept beside the checkpoints, compiled again for a roll-back or a pin.

use std::collections::BTreeSet;
use std::sync::Arc;

use sluice_core::checkpoint::StoreError;
use sluice_core::deploy::Operators;
use sluice_runtime::Runtime;
use sluice_store::{Histories, Store};

use crate::operators::Artifacts;

/// Histories and kept operators of all pipelines of the service. Every call but `histories` blocks.
#[derive(Clone)]
pub struct OperatorArchive {
    store: Arc<Store>,
    runtime: Arc<Runtime>,
}

impl OperatorArchive {
    pub fn new(store: Arc<Store>, runtime: Arc<Runtime>) -> OperatorArchive {
        OperatorArchive { store, runtime }
    }

    /// Gives access to the history of each pipeline.
    pub fn histories(&self) -> &Histories {
        self.store.histories()
    }

    /// Keeps the operators that the pipeline runs as this generation, and drops the oldest kept generation.
    pub fn keep(&self, pipeline: &str, generation: u64, artifacts: &Artifacts) -> Result<(), StoreError> {
        artifacts.values().try_for_each(|artifact| {
            self.store.keep_artifact(pipeline, generation, &artifact.digest().to_string(), artifact.bytes())
        })
    }

    /// Returns the digests of all operators that are kept for the pipeline.
    pub fn digests(&self, pipeline: &str) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.store.kept_artifacts(pipeline)?.into_iter().map(|(_, digest)| digest).collect())
    }

    /// Compiles kept operators, or says which can't be.
    pub fn open(&self, operators: &Operators) -> Result<Artifacts, String> {
        let open = |(name, digest): (&String, &String)| {
            let bytes = self.store.artifact(digest).map_err(|error| error.to_string())?;
            let bytes = bytes.ok_or_else(|| format!("operator `{name}` {digest} is no longer kept"))?;
            let artifact = self
                .runtime
                .compile(&bytes)
                .map_err(|error| format!("the kept operator `{name}` {digest}: {error}"))?;
            Ok((name.clone(), artifact))
        };
        operators.iter().map(open).collect()
    }
}
