//! The directory of a service's checkpoints, held by one host.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sluice_core::checkpoint::{Changes, Checkpoint, CheckpointStore, Group, StoreError};

use crate::artifacts::Artifacts;
use crate::histories::Histories;
use crate::pipeline::Pipeline;
use crate::tree::Shared;
use crate::upkeep::Upkeep;
use crate::{disk, names, record};

/// Beginning of the name of a directory that is being removed; no pipeline's directory begins so.
const REMOVED: &str = ".removed-";

/// Checkpoints in a directory.
pub struct Store {
    artifacts: Artifacts,
    histories: Histories,
    directory: PathBuf,
    shared: Shared,
    /// The pipelines that were asked for, by name. Held while one is opened or reset.
    open: Mutex<HashMap<String, Arc<Pipeline>>>,
    /// The upkeep; before the lock, since it is stopped first when the store is dropped.
    upkeep: Upkeep,
    lock: Lock,
}

/// The lock, and where it was taken.
struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Checks that the file under the path is still the one that is locked. If not, the directory was removed, or is another one,
    /// and nobody would find what is written; another host may have the directory that is there.
    fn check(&self) -> Result<(), StoreError> {
        let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let held = self.file.metadata().map(id);
        match std::fs::metadata(&self.path).map(id) {
            Ok(there) if held.as_ref().is_ok_and(|held| *held == there) => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(disk::failed("look at it", &self.path, &error))
            }
            _ => Err(StoreError::Unusable(format!(
                "{}: the directory of the checkpoints was removed or replaced under this host: bring it back, then start the host \
                 again",
                self.path.parent().unwrap_or(&self.path).display()
            ))),
        }
    }
}

impl Store {
    /// Takes the directory, and makes it if it isn't there. `cache_bytes` bounds what is kept in memory of the states that
    /// were read; each pipeline that is committed to has up to some 60 MB besides, for what isn't in its tree yet.
    ///
    /// Fails if another host has it: two that commit to one checkpoint would each lose what the other counted.
    pub fn open(directory: &Path, cache_bytes: u64) -> Result<Store, StoreError> {
        let failed = |error: io::Error| disk::failed("use it for checkpoints", directory, &error);
        let pipelines = directory.join("pipelines");
        disk::create_directory(&pipelines).map_err(failed)?;
        let lock = lock(directory)?;
        check_format(directory)?;
        for name in disk::names(&pipelines).map_err(failed)?.iter().filter(|name| name.starts_with(REMOVED)) {
            std::fs::remove_dir_all(pipelines.join(name)).map_err(failed)?;
        }
        Ok(Store {
            artifacts: Artifacts::new(directory.join("artifacts")),
            histories: Histories::of(directory),
            directory: pipelines,
            shared: Shared::new(cache_bytes),
            open: Mutex::default(),
            upkeep: Upkeep::start()?,
            lock: Lock { file: lock, path: directory.join("lock") },
        })
    }

    /// The histories of what ran in the pipelines.
    pub fn histories(&self) -> &Histories {
        &self.histories
    }

    /// Keeps what the pipeline runs as this generation, for a roll-back: the last [`KEPT_ARTIFACTS`](crate::KEPT_ARTIFACTS)
    /// generations of each.
    pub fn keep_artifact(&self, pipeline: &str, generation: u64, digest: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.artifacts.keep(pipeline, generation, digest, bytes)
    }

    /// The generations of the pipeline that are kept, the newest first: generation and digest.
    pub fn kept_artifacts(&self, pipeline: &str) -> Result<Vec<(u64, String)>, StoreError> {
        self.artifacts.kept(pipeline)
    }

    /// The artifact with this digest; none if it isn't kept.
    pub fn artifact(&self, digest: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.artifacts.read(digest)
    }

    /// The bytes that the pipeline's checkpoint takes on the disk; none while nobody has asked for it. Reads no file.
    pub fn bytes(&self, pipeline: &str) -> Option<u64> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(pipeline).map(|pipeline| pipeline.bytes())
    }

    /// Gives all that is kept of a pipeline another name, which none may have. Again after a crash it goes on; the checkpoint comes
    /// last.
    pub fn rename(&self, old: &str, new: &str) -> Result<(), StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, to) = (self.directory_of(old)?, self.directory_of(new)?);
        if to.is_dir() {
            match open.get(new) {
                Some(opened) => opened.close(|| self.remove(&to))?,
                None => self.remove(&to)?,
            }
            open.remove(new);
        }
        self.artifacts.rename(old, new)?;
        self.histories.rename(old, new)?;
        let renamed = || {
            let failed = |error: io::Error| disk::failed("rename it", &from, &error);
            std::fs::rename(&from, &to).and_then(|()| disk::sync_directory(&self.directory)).map_err(failed)
        };
        match open.get(old) {
            Some(opened) => opened.close(renamed)?,
            None => renamed()?,
        }
        open.remove(old);
        Ok(())
    }

    /// The pipeline; none if it never committed.
    fn existing(&self, name: &str) -> Result<Option<Arc<Pipeline>>, StoreError> {
        self.lock.check()?;
        let there = names::directory(name).is_some_and(|directory| self.directory.join(directory).is_dir());
        if there { self.pipeline(name).map(Some) } else { Ok(None) }
    }

    /// The pipeline, made if it isn't there.
    fn pipeline(&self, name: &str) -> Result<Arc<Pipeline>, StoreError> {
        self.lock.check()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = open.get(name) {
            return Ok(Arc::clone(pipeline));
        }
        let pipeline = Arc::new(Pipeline::open(name, &self.directory_of(name)?, &self.shared)?);
        open.insert(name.to_owned(), Arc::clone(&pipeline));
        Ok(pipeline)
    }

    fn directory_of(&self, name: &str) -> Result<PathBuf, StoreError> {
        let unusable =
            || StoreError::Unusable(format!("{name:?} is too long for the name of a directory: rename the pipeline"));
        names::directory(name).map(|directory| self.directory.join(directory)).ok_or_else(unusable)
    }

    fn write_if_due(&self, pipeline: &Arc<Pipeline>) {
        if pipeline.seal_if_due() {
            self.upkeep.write(pipeline);
        }
    }

    /// Takes the pipeline's directory away in one step; what is in it is removed after.
    fn remove(&self, directory: &Path) -> Result<(), StoreError> {
        let Some(name) = directory.file_name() else { return Ok(()) };
        let removed = self.directory.join(format!("{REMOVED}{}", name.to_string_lossy()));
        let failed = |error: io::Error| disk::failed("remove it", directory, &error);
        if removed.exists() {
            std::fs::remove_dir_all(&removed).map_err(failed)?;
        }
        std::fs::rename(directory, &removed).and_then(|()| disk::sync_directory(&self.directory)).map_err(failed)?;
        // It is gone for all purposes; what stays of it is removed at the next start.
        let _ = std::fs::remove_dir_all(&removed);
        Ok(())
    }
}

impl CheckpointStore for Store {
    fn head(&self, pipeline: &str) -> Result<Option<Checkpoint>, StoreError> {
        self.existing(pipeline)?.map_or(Ok(None), |pipeline| pipeline.head())
    }

    fn states(&self, pipeline: &str, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.existing(pipeline)?.map_or_else(|| Ok(vec![None; keys.len()]), |pipeline| pipeline.states(keys))
    }

    fn scan(&self, pipeline: &str, after: Option<&[u8]>, limit: usize) -> Result<Vec<Group>, StoreError> {
        self.existing(pipeline)?.map_or_else(|| Ok(Vec::new()), |pipeline| pipeline.scan(after, limit))
    }

    fn commit(&self, pipeline: &str, head: &Checkpoint, changes: &Changes) -> Result<(), StoreError> {
        let pipeline = self.pipeline(pipeline)?;
        // For what a start found, or an attempt that failed has left.
        self.write_if_due(&pipeline);
        let committed = pipeline.commit(head, changes);
        // Not with the next commit: if that is long in coming, a start after a kill would read all of this one's log.
        self.write_if_due(&pipeline);
        committed
    }

    fn reset(&self, pipeline: &str) -> Result<(), StoreError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = self.directory_of(pipeline)?;
        if !directory.is_dir() {
            return Ok(());
        }
        match open.get(pipeline) {
            Some(opened) => opened.close(|| self.remove(&directory))?,
            // Not opened, so that one that can't be can be reset.
            None => self.remove(&directory)?,
        }
        open.remove(pipeline);
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        self.lock.check()
    }

    /// Returns the pipelines that have a checkpoint, also those whose checkpoint can't be read.
    fn pipelines(&self) -> Result<Vec<String>, StoreError> {
        let names = disk::names(&self.directory).map_err(|error| disk::failed("read it", &self.directory, &error))?;
        let mut pipelines: Vec<String> = names.iter().filter_map(|name| names::pipeline(name)).collect();
        pipelines.retain(|name| !matches!(self.head(name), Ok(None)));
        pipelines.sort_unstable();
        Ok(pipelines)
    }
}

/// Locks the directory for as long as the file is open, and leaves the process id in it.
fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let failed = |error: io::Error| disk::failed("lock it", &path, &error);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held(directory, &mut file)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // The lock holds without it: on a full disk a second host just isn't told the process.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

fn held(directory: &Path, file: &mut File) -> StoreError {
    let mut holder = String::new();
    let known = file.read_to_string(&mut holder).is_ok() && holder.parse::<u32>().is_ok();
    let holder = if known { format!("process {holder}") } else { "another process".to_owned() };
    let directory = directory.display();
    StoreError::Unusable(format!(
        "{directory}: {holder} has these checkpoints; stop it first, or give this host a `state` directory of its own"
    ))
}

/// Refuses a directory that another version has written; a new one gets this version's mark.
fn check_format(directory: &Path) -> Result<(), StoreError> {
    let path = directory.join("format");
    let expected = record::FORMAT.to_string();
    match std::fs::read_to_string(&path) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) if !found.is_empty() => {
            let path = path.display();
            let found: String = found.chars().take(20).collect();
            Err(StoreError::Damaged(format!(
                "{path}: is {found:?}, and this version of the host reads format {expected}"
            )))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk::failed("read it", &path, &error)),
        // New, or left empty by a crash while it was written: nothing else is written before.
        _ => {
            let written = File::create(&path).and_then(|mut file| {
                file.write_all(expected.as_bytes())?;
                file.sync_all()?;
                disk::sync_directory(directory)
            });
            written.map_err(|error| disk::failed("write it", &path, &error))
        }
    }
}
