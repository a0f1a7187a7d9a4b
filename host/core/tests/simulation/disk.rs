//! The disk that checkpoints are on: it may be away for a while.

use std::sync::atomic::{AtomicBool, Ordering};

use sluice_core::checkpoint::memory::MemoryStore;
use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, Group, StoreError};

/// A store whose reads fail while it is away.
#[derive(Debug, Default)]
pub struct Disk {
    /// The checkpoints that are on it.
    pub kept: MemoryStore,
    away: AtomicBool,
}

impl Disk {
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    pub fn full() -> StoreError {
        StoreError::Unavailable("the disk is full".to_owned())
    }

    fn answers(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::Relaxed) { Err(Disk::full()) } else { Ok(()) }
    }
}

impl CheckpointStore for Disk {
    fn head(&self, pipeline: &str) -> Result<Option<Checkpoint>, StoreError> {
        self.kept.head(pipeline)
    }

    fn states(&self, pipeline: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.answers()?;
        self.kept.states(pipeline, keys)
    }

    fn scan(&self, pipeline: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Group>, StoreError> {
        self.answers()?;
        self.kept.scan(pipeline, after, limit)
    }

    fn commit(&self, pipeline: &str, head: &Checkpoint, changes: &Changes) -> Result<(), StoreError> {
        self.answers()?;
        self.kept.commit(pipeline, head, changes)
    }

    fn reset(&self, pipeline: &str) -> Result<(), StoreError> {
        self.kept.reset(pipeline)
    }

    fn pipelines(&self) -> Result<Vec<String>, StoreError> {
        self.kept.pipelines()
    }
}
