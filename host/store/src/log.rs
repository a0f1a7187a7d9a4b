//! A file of commits, appended to and made durable one by one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use sluice_core::checkpoint::StoreError;

use crate::disk;
use crate::record::{self, Commit, HEADER_BYTES};

/// A log that is appended to.
pub(crate) struct Log {
    file: File,
    path: PathBuf,
    /// The place where the last durable commit ends. Bytes past it are of a commit that failed, and are written over.
    end: u64,
}

impl Log {
    /// A new log, durable as a file, that ends in as many zeros as are expected to be written over: a commit that doesn't
    /// make the file longer is durable in a tenth of the time.
    pub(crate) fn create(path: PathBuf, expected: u64) -> Result<Log, StoreError> {
        let created = OpenOptions::new().write(true).create(true).truncate(true).open(&path).and_then(|file| {
            file.set_len(expected)?;
            file.sync_all()?;
            path.parent().map_or(Ok(()), disk::sync_directory)?;
            Ok(file)
        });
        match created {
            Ok(file) => Ok(Log { file, path, end: 0 }),
            Err(error) => Err(disk::failed("create it", &path, &error)),
        }
    }

    /// The log whose whole commits end there: anything after is cut off.
    pub(crate) fn reopen(path: PathBuf, end: u64) -> Result<Log, StoreError> {
        let opened = OpenOptions::new().write(true).open(&path).and_then(|file| {
            if file.metadata()?.len() > end {
                file.set_len(end)?;
                file.sync_all()?;
            }
            Ok(file)
        });
        match opened {
            Ok(file) => Ok(Log { file, path, end }),
            Err(error) => Err(disk::failed("open it for writing", &path, &error)),
        }
    }

    /// Appends a commit and makes it durable. If that fails nothing changed, and the same may be tried again: the bytes are
    /// written anew then, because the system may have dropped those that it couldn't make durable.
    pub(crate) fn append(&mut self, commit: &[u8]) -> Result<(), StoreError> {
        self.check_there()?;
        match self.file.write_all_at(commit, self.end).and_then(|()| self.file.sync_data()) {
            Ok(()) => {
                self.end += commit.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A commit that was refused must not come back after a crash. Where this fails too, the next one writes over it.
                let _ = self.file.set_len(self.end);
                Err(disk::failed("write a checkpoint", &self.path, &error))
            }
        }
    }

    /// Checks that the log is still there: a commit to a file that was removed would be gone at the next start.
    fn check_there(&self) -> Result<(), StoreError> {
        let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let (held, there) = (self.file.metadata().map(id), std::fs::metadata(&self.path).map(id));
        match (held, there) {
            (Ok(held), Ok(there)) if held == there => Ok(()),
            (_, Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                Err(disk::failed("look at it", &self.path, &error))
            }
            _ => Err(StoreError::Unusable(format!(
                "{}: was removed or replaced under this host: bring the directory back, then start the host again",
                self.path.display()
            ))),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.end
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Hands every whole commit of the log to `each`, in order; answers where they end.
///
/// What follows the last whole one is a commit that a crash cut short: it was never answered. But if a whole commit
/// follows something that isn't, the log is damaged.
pub(crate) fn read(path: &Path, mut each: impl FnMut(Commit) -> Result<(), StoreError>) -> Result<u64, StoreError> {
    let failed = |error: io::Error| disk::failed("read it", path, &error);
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut end = 0;
    loop {
        let mut bytes = Vec::new();
        file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
        if let Some(header) = record::header(&bytes) {
            file.by_ref().take(header.length as u64).read_to_end(&mut bytes).map_err(failed)?;
            if let Some(commit) = record::decode_commit(&header, &bytes[HEADER_BYTES..]) {
                each(commit)?;
                end += bytes.len() as u64;
                continue;
            }
        }
        file.read_to_end(&mut bytes).map_err(failed)?;
        if record::holds_commit(bytes.get(1..).unwrap_or_default()) {
            let path = path.display();
            return Err(StoreError::Damaged(format!(
                "{path}: the commit at byte {end} is damaged, and later ones are whole"
            )));
        }
        return Ok(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_core::checkpoint::Changes;

    fn commit(sequence: u64) -> Vec<u8> {
        let mut changes = Changes::default();
        changes.push(b"key", Some(&sequence.to_le_bytes()));
        record::encode_commit(sequence, b"head", &changes).unwrap()
    }

    fn sequences(path: &Path) -> Result<(Vec<u64>, u64), StoreError> {
        let mut found = Vec::new();
        let end = read(path, |commit| {
            found.push(commit.sequence);
            Ok(())
        })?;
        Ok((found, end))
    }

    fn log_of_three() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.1");
        let mut log = Log::create(path.clone(), 0).unwrap();
        (1..=3).for_each(|sequence| log.append(&commit(sequence)).unwrap());
        (directory, path)
    }

    #[test]
    fn a_log_cut_anywhere_holds_the_commits_that_are_whole_and_goes_on_after_them() {
        let (_directory, path) = log_of_three();
        let whole = std::fs::read(&path).unwrap();
        let one = commit(1).len();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (found, end) = sequences(&path).unwrap();
            assert_eq!(found, (1..=(cut / one) as u64).collect::<Vec<_>>());
            Log::reopen(path.clone(), end).unwrap().append(&commit(9)).unwrap();
            assert_eq!(sequences(&path).unwrap().0.last(), Some(&9));
        }
    }

    #[test]
    fn a_log_that_ends_in_zeros_is_as_good_as_one_that_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.1");
        let mut log = Log::create(path.clone(), 5000).unwrap();
        assert_eq!(sequences(&path).unwrap(), (vec![], 0));
        (1..=3).for_each(|sequence| log.append(&commit(sequence)).unwrap());
        assert_eq!(sequences(&path).unwrap(), (vec![1, 2, 3], log.bytes()));
    }

    #[test]
    fn a_changed_byte_before_whole_commits_is_damage_that_names_file_and_place() {
        let (_directory, path) = log_of_three();
        let whole = std::fs::read(&path).unwrap();
        let one = commit(1).len();
        for at in 0..2 * one {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, bytes).unwrap();
            let StoreError::Damaged(reason) = sequences(&path).unwrap_err() else { unreachable!() };
            assert!(reason.contains("log.1") && reason.contains(&format!("byte {}", at / one * one)), "{reason}");
        }
    }
}
