//! Compiled code, kept between processes.
//!
//! The only file that makes code of bytes. A processor runs whatever they are, so they are looked at first: a file has the checksum
//! of its code and of the artifact that the code is of, is read whole, and is compiled anew where anything differs. What a checksum
//! can't tell, code that somebody else has put there on purpose, is up to who may write to the directory.

#![allow(unsafe_code, reason = "there is no other way to take compiled code")]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use sluice_clock::now_micros;
use wasmtime::Engine;
use wasmtime::component::Component;
use xxhash_rust::xxh3::Xxh3;

use crate::digest::Digest;
use crate::reasons::RuntimeError;

/// The most bytes that the files together may have. An interpreter's code has some 70 MB: less would compile it again and again where
/// ten are in use.
const MAX_BYTES: u64 = 1 << 30;

/// The name of wasmtime's own cache in this directory, in earlier versions.
const BEFORE: &str = "code";

const MARK: &[u8; 8] = b"SLNATIV1";
const CHECKSUM_BYTES: usize = 16;

/// Files of compiled code, by the artifact's digest.
#[derive(Debug)]
pub(crate) struct Code {
    directory: PathBuf,
    hits: AtomicUsize,
}

impl Code {
    /// Opens the code that is kept in a directory, which is made if it isn't there.
    pub(crate) fn open(cache: &Path) -> Result<Code, RuntimeError> {
        let directory = cache.join("native");
        // Else each start would compile everything without a word.
        let written = fs::create_dir_all(&directory).and_then(|()| tempfile::tempfile_in(&directory));
        written.map_err(|error| RuntimeError::Cache { path: cache.to_owned(), reason: error.to_string() })?;
        let _ = fs::remove_dir_all(cache.join(BEFORE));
        Ok(Code { directory, hits: AtomicUsize::new(0) })
    }

    /// The number of artifacts whose code was loaded.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::Relaxed)
    }

    /// The code of this artifact; none if it isn't there as it was written, or is of another compiler.
    pub(crate) fn load(&self, engine: &Engine, artifact: Digest) -> Option<Component> {
        let path = self.path(artifact);
        let bytes = fs::read(&path).ok()?;
        let Some(code) = checked(&bytes, artifact) else {
            tracing::warn!("{}: isn't as it was written; compiled anew", path.display());
            return None;
        };
        // SAFETY: these are the bytes that `keep` was given, as the checksum says, and they are this function's own: nobody changes
        // them meanwhile. wasmtime refuses those of another version of it or of other settings.
        let component = unsafe { Component::deserialize(engine, code) }.ok()?;
        self.hits.fetch_add(1, Ordering::Relaxed);
        // What was used last is dropped last.
        let used = SystemTime::UNIX_EPOCH + Duration::from_micros(now_micros().unsigned_abs());
        let _ = File::options().write(true).open(&path).and_then(|file| file.set_modified(used));
        Some(component)
    }

    /// Keeps the code of this artifact, for the next start.
    pub(crate) fn keep(&self, component: &Component, artifact: Digest) -> io::Result<()> {
        let code = component.serialize().map_err(|error| io::Error::other(format!("{error:#}")))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(MARK)?;
        file.write_all(&checksum(&code, artifact))?;
        file.write_all(&code)?;
        file.persist(self.path(artifact))?;
        self.bound()
    }

    /// Deletes the code that was unused for the longest, until the rest is small enough.
    fn bound(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        files.sort();
        let mut bytes: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, size, path) in files {
            if bytes <= MAX_BYTES {
                break;
            }
            fs::remove_file(path)?;
            bytes -= size;
        }
        Ok(())
    }

    fn path(&self, artifact: Digest) -> PathBuf {
        self.directory.join(artifact.to_string())
    }
}

/// The code in a file of this artifact, if it is as it was written.
fn checked(bytes: &[u8], artifact: Digest) -> Option<&[u8]> {
    let (sum, code) = bytes.strip_prefix(MARK)?.split_at_checked(CHECKSUM_BYTES)?;
    (sum == checksum(code, artifact)).then_some(code)
}

fn checksum(code: &[u8], artifact: Digest) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = Xxh3::new();
    hasher.update(artifact.to_string().as_bytes());
    hasher.update(code);
    hasher.digest128().to_le_bytes()
}
