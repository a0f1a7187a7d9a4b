//! The operating system's errors, as what the caller can do.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use sluice_core::checkpoint::StoreError;

/// An error of this file or directory: what is gone, too short or points past its end is damaged, all else may pass.
pub(crate) fn failed(doing: &str, path: &Path, error: &io::Error) -> StoreError {
    let path = path.display();
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::UnexpectedEof
        | ErrorKind::InvalidData
        | ErrorKind::InvalidInput
        | ErrorKind::NotADirectory => StoreError::Damaged(format!("{path}: can't {doing}: {error}")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreError::Unavailable(
            format!("{path}: can't {doing}: {error}; make room, it is tried again and nothing is lost"),
        ),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => StoreError::Unavailable(format!(
            "{path}: can't {doing}: {error}; make it writable for this user, it is tried again and nothing is lost"
        )),
        _ => StoreError::Unavailable(format!("{path}: can't {doing}: {error}; it is tried again")),
    }
}

/// Makes the directory's changes durable: files that were created, renamed or removed in it.
pub(crate) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Writes a file so that, even after a crash, its name holds either all of the new content or the content before.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Creates the directory and makes that durable; one that is there is fine.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(directory)?;
    directory.parent().map_or(Ok(()), sync_directory)
}

/// The names in a directory; none for one that isn't there.
pub(crate) fn names(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Renames a file or directory, and replaces an existing one of the new name. Does nothing if the old name isn't there.
pub(crate) fn rename_if_there(old: &Path, new: &Path) -> Result<(), StoreError> {
    let renamed = || {
        if !old.exists() {
            return Ok(());
        }
        if new.is_dir() {
            std::fs::remove_dir_all(new)?;
        }
        std::fs::rename(old, new)?;
        new.parent().map_or(Ok(()), sync_directory)
    };
    renamed().map_err(|error| failed("rename it", old, &error))
}
