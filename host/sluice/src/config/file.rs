//! Files and directories of the configuration.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sluice_connectors::regular;

use super::problem::Problem;

/// The largest file that is read. A pipeline of a thousand columns takes a tenth of it.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The text of a file, or that it can't be read. Takes no longer than a file system is waited for.
pub fn read_text(path: &Path) -> Result<String, Problem> {
    text(path, regular::read(path, MAX_FILE_BYTES + 1))
}

/// A little more than may be in a file, at most. Takes as long as the file system does, for whoever asks on a thread of its own.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Converts the bytes that were read of a file to text.
pub fn text(path: &Path, read: io::Result<Vec<u8>>) -> Result<String, Problem> {
    let bytes = read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Problem::of_file(path, "something that isn't a file", "a TOML file"),
        _ => Problem::of_file(path, format!("no readable file ({error})"), "a TOML file"),
    })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(Problem::of_file(path, "a file that is too large", "at most 1 MiB of TOML"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Problem::of_file(path, format!("bytes that aren't UTF-8 (the first at byte {at})"), "TOML in UTF-8")
    })
}

/// The files of a directory that are pipelines, by name: `*.toml`, but not those that begin with a dot, as editors'
/// temporary files do.
pub fn pipeline_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
