//! Operators that pipelines ran and may be rolled back to.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use sluice_core::checkpoint::StoreError;

use crate::{disk, names};

/// The number of generations whose artifacts are kept for each pipeline: the last good one is needed for a roll-back, a few
/// more for people who notice late. An operator in Python has 18 MB, so that more would be a disk's worth of old code.
pub const KEPT_ARTIFACTS: usize = 5;

pub(crate) struct Artifacts {
    directory: PathBuf,
    /// Held while files are added and removed, so that none is removed that is just being added.
    changing: Mutex<()>,
}

impl Artifacts {
    pub(crate) fn new(directory: PathBuf) -> Artifacts {
        Artifacts { directory, changing: Mutex::new(()) }
    }

    /// Keeps an artifact of the pipeline as this generation's.
    pub(crate) fn keep(&self, pipeline: &str, generation: u64, digest: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(marks) = self.marks(pipeline).filter(|_| sha256(bytes) == digest) else {
            return Err(StoreError::Unusable(format!("{pipeline}: {digest} is not the SHA-256 of this artifact")));
        };
        let added = self.add(&marks, generation, digest, bytes);
        added.map_err(|error| disk::failed("keep an artifact", &self.directory, &error))
    }

    fn add(&self, marks: &Path, generation: u64, digest: &str, bytes: &[u8]) -> io::Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        disk::create_directory(marks)?;
        let file = self.directory.join(digest);
        if !file.exists() {
            disk::write_whole(&file, bytes)?;
        }
        File::create(marks.join(format!("{generation}-{digest}")))?.sync_all()?;
        disk::sync_directory(marks)?;
        drop_later(marks, generation)?;
        drop_oldest(marks)?;
        self.drop_unmarked()
    }

    /// The generations of the pipeline that are kept, the newest first: generation and digest.
    pub(crate) fn kept(&self, pipeline: &str) -> Result<Vec<(u64, String)>, StoreError> {
        let Some(marks) = self.marks(pipeline) else { return Ok(Vec::new()) };
        marks_of(&marks).map_err(|error| disk::failed("read it", &self.directory, &error))
    }

    /// The artifact with this digest; none if it isn't kept.
    pub(crate) fn read(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if !is_digest(digest) {
            return Ok(None);
        }
        let path = self.directory.join(digest);
        match std::fs::read(&path) {
            Ok(bytes) if sha256(&bytes) == digest => Ok(Some(bytes)),
            Ok(_) => Err(StoreError::Damaged(format!("{}: is not what its name says; remove it", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk::failed("read it", &path, &error)),
        }
    }

    /// Gives a pipeline's marks another name.
    pub(crate) fn rename(&self, old: &str, new: &str) -> Result<(), StoreError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(old), Some(new)) = (self.marks(old), self.marks(new)) else { return Ok(()) };
        disk::rename_if_there(&old, &new)
    }

    /// Returns the directory of the pipeline's marks; none if the name is too long for a directory's.
    fn marks(&self, pipeline: &str) -> Option<PathBuf> {
        names::directory(pipeline).map(|name| self.directory.join(format!("of-{name}")))
    }

    /// Removes the artifacts that no pipeline keeps.
    fn drop_unmarked(&self) -> io::Result<()> {
        let (mut files, mut kept) = (Vec::new(), Vec::new());
        for name in disk::names(&self.directory)? {
            let path = self.directory.join(&name);
            if path.is_dir() {
                kept.extend(marks_of(&path)?.into_iter().map(|(_, digest)| digest));
            } else {
                files.push(name);
            }
        }
        files
            .iter()
            .filter(|name| !kept.contains(*name))
            .try_for_each(|name| std::fs::remove_file(self.directory.join(name)))
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Generation and digest of each mark, the newest first.
fn marks_of(marks: &Path) -> io::Result<Vec<(u64, String)>> {
    let parse = |name: &String| {
        let (generation, digest) = name.split_once('-')?;
        Some((generation.parse().ok()?, digest.to_owned()))
    };
    let mut found: Vec<_> = disk::names(marks)?.iter().filter_map(parse).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Removes the marks of later generations. A pipeline that was started over counts from 1 again: what it kept before would
/// otherwise be newer for ever.
fn drop_later(marks: &Path, generation: u64) -> io::Result<()> {
    remove(marks, marks_of(marks)?.iter().filter(|(other, _)| *other > generation))
}

/// Removes the marks of the oldest generations. A generation may have several artifacts, one for each operator of the pipeline.
fn drop_oldest(marks: &Path) -> io::Result<()> {
    let found = marks_of(marks)?;
    let mut generations: Vec<u64> = found.iter().map(|(generation, _)| *generation).collect();
    generations.dedup();
    let Some(oldest) = generations.get(KEPT_ARTIFACTS - 1) else { return Ok(()) };
    remove(marks, found.iter().filter(|(generation, _)| generation < oldest))
}

fn remove<'a>(marks: &Path, mut which: impl Iterator<Item = &'a (u64, String)>) -> io::Result<()> {
    which.try_for_each(|(generation, digest)| std::fs::remove_file(marks.join(format!("{generation}-{digest}"))))
}
