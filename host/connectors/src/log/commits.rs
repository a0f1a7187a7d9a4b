//! Commits say how far a group is: a small JSON file for each topic, replaced whole.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sluice_core::{Offset, Partition};

use super::{LogConnection, checked_name, source_error};
use crate::source::{Committer, SourceError};

/// The largest file of commits that is read: [`super::MAX_PARTITIONS`] entries of 20 digits take a twentieth.
const MAX_FILE: u64 = 1024 * 1024;

/// A group's commits of one topic.
pub(super) struct Commits {
    path: PathBuf,
    next: Mutex<BTreeMap<i32, i64>>,
}

impl Commits {
    /// Makes the commits without reading the file: they begin with what is committed from now on.
    pub fn fresh(connection: &LogConnection, group: &str, topic: &str) -> Result<Commits, SourceError> {
        let group = checked_name("group", group).map_err(SourceError::Unusable)?;
        let topic = checked_name("topic", topic).map_err(SourceError::Unusable)?;
        let path = connection.directory.join(".groups").join(group).join(format!("{topic}.json"));
        Ok(Commits { path, next: Mutex::default() })
    }

    /// Reads the earlier commits. A file that can't be understood is an error, not "nothing committed".
    pub fn load(self) -> Result<Commits, SourceError> {
        let next = read(&self.path)?;
        Ok(Commits { next: Mutex::new(next), ..self })
    }

    /// The offsets that the file says now.
    pub fn committed(&self) -> Result<BTreeMap<Partition, Offset>, SourceError> {
        Ok(read(&self.path)?.into_iter().map(|(partition, offset)| (Partition(partition), Offset(offset))).collect())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next offset to read.
    pub fn next(&self, partition: Partition) -> Option<Offset> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).get(&partition.0).copied().map(Offset)
    }
}

impl Committer for Commits {
    fn commit(&self, next: &BTreeMap<Partition, Offset>) -> Result<(), SourceError> {
        let mut known = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(next.iter().map(|(partition, offset)| (partition.0, offset.0)));
        replace(&self.path, &known).map_err(|error| {
            SourceError::Unavailable(format!("commits can't be written to {}: {error}", self.path.display()))
        })
    }
}

fn read(path: &Path) -> Result<BTreeMap<i32, i64>, SourceError> {
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(source_error(path, &error)),
    };
    let damaged = |why: String| {
        let path = path.display();
        SourceError::Unusable(format!(
            "the commits in {path} can't be read: {why}; remove it to start from the beginning"
        ))
    };
    if length > MAX_FILE {
        return Err(damaged(format!("{length} bytes are too many")));
    }
    let text = fs::read(path).map_err(|error| source_error(path, &error))?;
    let next: BTreeMap<i32, i64> = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    match next.iter().find(|(partition, offset)| **partition < 0 || **offset < 0) {
        Some((partition, offset)) => Err(damaged(format!("partition {partition} at {offset} is below 0"))),
        None => Ok(next),
    }
}

/// Replaces the file by one that was written beside it, so that a reader or a crash finds the old file or the new one, never a
/// half.
fn replace(path: &Path, next: &BTreeMap<i32, i64>) -> Result<(), std::io::Error> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let beside = path.with_extension("json.new");
    let mut file = File::create(&beside)?;
    serde_json::to_writer(&mut file, next)?;
    file.write_all(b"\n")?;
    file.sync_data()?;
    fs::rename(beside, path)
}
