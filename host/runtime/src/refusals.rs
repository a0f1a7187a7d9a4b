//! Artifacts that the compiler was given up over: a file for each, so that a restart doesn't pay for the same bytes again.

use std::io;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::limits::CompileLimits;
use crate::reasons::ArtifactError;

/// The refusals that are remembered. Fewer: a host that is given many such files pays again. More: a directory full of empty files.
const MAX_REFUSALS: usize = 1_024;

/// The things that an artifact may take too much of, as [`ArtifactError::TooHard`] says them.
const WHATS: [&str; 2] = ["time", "memory"];

/// The memory of refusals by one compiler: another one, or other limits, try again.
pub(crate) struct Refusals {
    directory: PathBuf,
    compiler: u64,
    limits: CompileLimits,
}

impl Refusals {
    pub(crate) fn new(directory: PathBuf, compiler: u64, limits: CompileLimits) -> Refusals {
        Refusals { directory, compiler, limits }
    }

    /// Returns the reason why this artifact is refused; none if it isn't.
    pub(crate) fn of(&self, artifact: Digest) -> Option<ArtifactError> {
        let what = WHATS.into_iter().find(|what| self.file(artifact, what).exists())?;
        Some(ArtifactError::TooHard { what, limits: self.limits })
    }

    /// Notes one. A refusal that can't be noted is paid for again.
    pub(crate) fn add(&self, artifact: Digest, error: &ArtifactError) {
        let ArtifactError::TooHard { what, .. } = error else { return };
        let note = || -> io::Result<()> {
            if std::fs::read_dir(&self.directory).is_ok_and(|refusals| refusals.count() >= MAX_REFUSALS) {
                std::fs::remove_dir_all(&self.directory)?;
            }
            std::fs::create_dir_all(&self.directory)?;
            std::fs::write(self.file(artifact, what), b"")
        };
        if let Err(error) = note() {
            tracing::warn!("{}: {error}", self.directory.display());
        }
    }

    /// Forgets the refusals of this artifact, so that it is tried again.
    pub(crate) fn forget(&self, artifact: Digest) {
        for what in WHATS {
            // There mostly is none.
            let _ = std::fs::remove_file(self.file(artifact, what));
        }
    }

    fn file(&self, artifact: Digest, what: &str) -> PathBuf {
        let CompileLimits { time, memory } = self.limits;
        self.directory.join(format!("{artifact}-{:016x}-{what}-{}-{memory}", self.compiler, time.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_is_remembered_for_one_compiler_and_its_limits_and_few_are() {
        let directory = tempfile::tempdir().unwrap();
        let limits = CompileLimits { time: Duration::from_secs(1), memory: 7 };
        let refusals = |compiler, limits| Refusals::new(directory.path().join("refused"), compiler, limits);
        let (mine, artifact) = (refusals(1, limits), Digest::of(b"heavy"));
        let refused = ArtifactError::TooHard { what: "memory", limits };
        assert_eq!(mine.of(artifact), None);
        mine.add(artifact, &ArtifactError::Empty);
        assert_eq!(mine.of(artifact), None, "only what took time or memory to find out");
        mine.add(artifact, &refused);
        assert_eq!(mine.of(artifact), Some(refused.clone()));
        assert_eq!(mine.of(Digest::of(b"other")), None);
        assert_eq!(refusals(2, limits).of(artifact), None, "another compiler");
        assert_eq!(refusals(1, CompileLimits { memory: 8, ..limits }).of(artifact), None, "other limits");
        mine.forget(artifact);
        assert_eq!(mine.of(artifact), None);
        for number in 0..2 * MAX_REFUSALS {
            mine.add(Digest::of(&number.to_le_bytes()), &refused);
        }
        assert!(std::fs::read_dir(directory.path().join("refused")).unwrap().count() <= MAX_REFUSALS);
    }
}
