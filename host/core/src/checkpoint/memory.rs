//! A checkpoint store in memory: the contract without a disk, for simulations and tests.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, PoisonError};

use super::{Changes, Checkpoint, CheckpointStore, Group, StoreError};

/// Store that keeps everything in memory until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    pipelines: Mutex<BTreeMap<String, StoredPipeline>>,
}

#[derive(Debug, Clone, Default)]
struct StoredPipeline {
    head: Checkpoint,
    groups: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl MemoryStore {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<String, StoredPipeline>) -> T) -> T {
        work(&mut self.pipelines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CheckpointStore for MemoryStore {
    fn head(&self, pipeline: &str) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.with(|pipelines| pipelines.get(pipeline).map(|kept| kept.head.clone())))
    }

    fn states(&self, pipeline: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        Ok(self.with(|pipelines| {
            let kept = pipelines.get(pipeline);
            keys.iter().map(|key| kept.and_then(|kept| kept.groups.get(*key).cloned())).collect()
        }))
    }

    fn scan(&self, pipeline: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Group>, StoreError> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(self.with(|pipelines| {
            let groups = pipelines.get(pipeline).map(|kept| kept.groups.range::<[u8], _>((from, Bound::Unbounded)));
            groups.into_iter().flatten().take(limit).map(|(key, state)| (key.clone(), state.clone())).collect()
        }))
    }

    fn commit(&self, pipeline: &str, head: &Checkpoint, changes: &Changes) -> Result<(), StoreError> {
        self.with(|pipelines| {
            let kept = pipelines.entry(pipeline.to_owned()).or_default();
            kept.head = head.clone();
            for (key, state) in changes.iter() {
                match state {
                    Some(state) => kept.groups.insert(key.to_vec(), state.to_vec()),
                    None => kept.groups.remove(key),
                };
            }
        });
        Ok(())
    }

    fn reset(&self, pipeline: &str) -> Result<(), StoreError> {
        self.with(|pipelines| pipelines.remove(pipeline));
        Ok(())
    }

    fn pipelines(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.with(|pipelines| pipelines.keys().cloned().collect()))
    }
}
