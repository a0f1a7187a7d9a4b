//! The histories of what ran in each pipeline: a file for each, written whole.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sluice_core::checkpoint::StoreError;
use sluice_core::deploy::History;

use crate::{disk, names};

/// The histories of a service's pipelines. Needs no lock: only the host that has the checkpoints writes, and whoever reads
/// meanwhile finds a whole file.
#[derive(Debug, Clone)]
pub struct Histories {
    directory: PathBuf,
}

impl Histories {
    /// Opens the histories beside the checkpoints in this directory.
    pub fn of(checkpoints: &Path) -> Histories {
        Histories { directory: checkpoints.join("deployments") }
    }

    /// The pipeline's history; an empty one if nothing ran yet.
    pub fn load(&self, pipeline: &str) -> Result<History, StoreError> {
        let path = self.path(pipeline)?;
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(History::default()),
            Err(error) => return Err(disk::failed("read it", &path, &error)),
        };
        serde_json::from_slice(&bytes).map_err(|error| {
            StoreError::Damaged(format!(
                "{}: is no history of deployments ({error}); bring it back from a copy, or remove it: then what ran before is \
                 forgotten, and whether the pipeline is pinned",
                path.display()
            ))
        })
    }

    /// Makes the history durable, in the place of the one before.
    pub fn save(&self, pipeline: &str, history: &History) -> Result<(), StoreError> {
        let path = self.path(pipeline)?;
        let written = serde_json::to_vec(history).map_err(std::io::Error::from).and_then(|json| {
            disk::create_directory(&self.directory)?;
            disk::write_whole(&path, &json)
        });
        written.map_err(|error| disk::failed("write it", &path, &error))
    }

    /// Forgets what ran, and a pin.
    pub fn forget(&self, pipeline: &str) -> Result<(), StoreError> {
        let path = self.path(pipeline)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(disk::failed("remove it", &path, &error)),
            _ => Ok(()),
        }
    }

    /// Gives a pipeline's history another name.
    pub(crate) fn rename(&self, old: &str, new: &str) -> Result<(), StoreError> {
        disk::rename_if_there(&self.path(old)?, &self.path(new)?)
    }

    fn path(&self, pipeline: &str) -> Result<PathBuf, StoreError> {
        let unusable =
            || StoreError::Unusable(format!("{pipeline:?} is too long for the name of a file: rename the pipeline"));
        names::directory(pipeline).map(|name| self.directory.join(format!("{name}.json"))).ok_or_else(unusable)
    }
}
