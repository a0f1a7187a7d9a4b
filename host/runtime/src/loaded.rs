//! The artifacts that are compiled now: the same bytes once, and few different ones at a time.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use crate::artifact::{Artifact, Compiled};
use crate::digest::Digest;
use crate::reasons::ArtifactError;

/// The number of helpers that compile at one time. Fewer: a few heavy artifacts keep all others waiting. More: each may take
/// [`CompileLimits::memory`](crate::CompileLimits), and all of them share the cores.
pub(crate) const COMPILED_AT_ONCE: usize = 4;

/// The artifacts that somebody has: the same bytes are compiled and mapped once, however many ask for them.
#[derive(Default)]
pub(crate) struct Loaded(Mutex<HashMap<Digest, Slot>>);

/// Place of an artifact, locked while it is compiled.
type Slot = Arc<Mutex<Weak<Compiled>>>;

impl Loaded {
    /// The artifact, if somebody has it; else what `compile` answers. Who asks for the same bytes meanwhile waits.
    pub(crate) fn get_or(
        &self,
        digest: Digest,
        compile: impl FnOnce() -> Result<Artifact, ArtifactError>,
    ) -> Result<Artifact, ArtifactError> {
        let slot = self.slot(digest);
        let mut compiled = lock(&slot);
        if let Some(compiled) = compiled.upgrade() {
            return Ok(Artifact::from(compiled));
        }
        let artifact = compile()?;
        *compiled = artifact.downgrade();
        Ok(artifact)
    }

    fn slot(&self, digest: Digest) -> Slot {
        let mut all = lock(&self.0);
        // Those that nobody has, and nobody is at.
        all.retain(|_, slot| Arc::strong_count(slot) > 1 || lock(slot).strong_count() > 0);
        Arc::clone(all.entry(digest).or_default())
    }
}

/// Lets [`COMPILED_AT_ONCE`] through.
#[derive(Default)]
pub(crate) struct Gate {
    through: Mutex<usize>,
    left: Condvar,
}

impl Gate {
    /// Waits for a place; it is free again when the answer is dropped.
    pub(crate) fn enter(&self) -> impl Drop {
        let full = |through: &mut usize| *through >= COMPILED_AT_ONCE;
        let through = self.left.wait_while(lock(&self.through), full);
        *through.unwrap_or_else(PoisonError::into_inner) += 1;
        Admission(self)
    }
}

struct Admission<'a>(&'a Gate);

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        *lock(&self.0.through) -= 1;
        self.0.left.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
