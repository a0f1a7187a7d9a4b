//! A partition's file, read in blocks of whole lines.

use std::fs::{File, Metadata};
use std::io::Read;
use std::mem;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sluice_core::{Offset, Partition};
use xxhash_rust::xxh3::xxh3_128;

use super::records::LogRecords;
use super::{MAX_LINE, source_error};
use crate::source::SourceError;

/// So much is read at once. Smaller ones cost more calls and smaller batches; each partition holds one, and each batch
/// under way those that its records are in.
const BLOCK: usize = 512 * 1024;

/// How much of a first line tells a file from others. Less: lines that begin alike. More: it is read each second.
const IDENTIFYING: usize = 4096;

/// A partition's file and how far it is read.
pub(super) struct PartitionFile {
    partition: Partition,
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    /// How much of the file was read, into the blocks and `tail`.
    read: u64,
    /// Whole lines, those from `at` on not handed out yet.
    block: Arc<Vec<u8>>,
    at: usize,
    /// The beginning of a line whose end isn't read yet.
    tail: Vec<u8>,
    position: Offset,
    counted: Counted,
}

/// The line feeds in the first bytes of a file.
#[derive(Clone, Copy)]
struct Counted {
    bytes: u64,
    lines: Offset,
}

impl PartitionFile {
    pub fn open(partition: Partition, path: PathBuf) -> Result<PartitionFile, SourceError> {
        let file = File::open(&path).map_err(|error| source_error(&path, &error))?;
        let metadata = file.metadata().map_err(|error| source_error(&path, &error))?;
        Ok(PartitionFile {
            partition,
            identity: identity(&metadata),
            path,
            file,
            read: 0,
            block: Arc::default(),
            at: 0,
            tail: Vec::new(),
            position: Offset(0),
            counted: Counted { bytes: 0, lines: Offset(0) },
        })
    }

    /// The file's name and the hash of its first line, once that is there. A file that grows keeps it, as does a copy that is
    /// brought back; another one has another, unless somebody began it with the very same line.
    pub fn first_line(&self) -> Result<Option<(String, String)>, SourceError> {
        let mut begin = vec![0; IDENTIFYING];
        let mut length = 0;
        while length < begin.len() {
            match self.file.read_at(&mut begin[length..], length as u64).map_err(|e| source_error(&self.path, &e))? {
                0 => break,
                got => length += got,
            }
        }
        let line = match memchr::memchr(b'\n', &begin[..length]) {
            Some(end) => &begin[..end],
            None if length == IDENTIFYING => &begin[..],
            None => return Ok(None),
        };
        let name = format!("{}.jsonl", self.partition);
        Ok(Some((name, format!("{:032x}", xxh3_128(line)))))
    }

    pub fn partition(&self) -> Partition {
        self.partition
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The offset of the next line to be handed out.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// Adds the lines that are there, at most `max` and at most a block, to `records`.
    pub fn take(&mut self, max: usize, records: &mut LogRecords) -> Result<(), SourceError> {
        self.fill_if_empty()?;
        let (added, at) = records.push_run(self.partition, self.position, &self.block, self.at, max);
        self.at = at;
        self.position = self.position.advanced(added);
        Ok(())
    }

    /// Passes over lines until `target` is next or the file has no more whole line.
    pub fn skip_to(&mut self, target: Offset) -> Result<(), SourceError> {
        while self.position < target {
            self.fill_if_empty()?;
            let wanted = usize::try_from(target.0 - self.position.0).unwrap_or(usize::MAX);
            let ends = memchr::memchr_iter(b'\n', &self.block[self.at..]).take(wanted);
            let Some((passed, last)) = ends.enumerate().last() else { return Ok(()) };
            self.at += last + 1;
            self.position = self.position.advanced(passed + 1);
        }
        Ok(())
    }

    /// How many whole lines the file has now: the offset of the next line written.
    pub fn end(&mut self) -> Result<Offset, SourceError> {
        if self.read > self.counted.bytes {
            let waiting = memchr::memchr_iter(b'\n', &self.block[self.at..]).count();
            self.counted = Counted { bytes: self.read, lines: self.position.advanced(waiting) };
        }
        let length = self.checked_length()?;
        let mut buffer = vec![0; BLOCK];
        while self.counted.bytes < length {
            let wanted = usize::try_from(length - self.counted.bytes).unwrap_or(BLOCK).min(BLOCK);
            let got = self.file.read_at(&mut buffer[..wanted], self.counted.bytes);
            match got.map_err(|error| source_error(&self.path, &error))? {
                0 => break,
                got => {
                    let lines = memchr::memchr_iter(b'\n', &buffer[..got]).count();
                    self.counted.bytes += got as u64;
                    self.counted.lines = self.counted.lines.advanced(lines);
                }
            }
        }
        Ok(self.counted.lines)
    }

    /// Reads the next lines once all that were read are handed out.
    fn fill_if_empty(&mut self) -> Result<(), SourceError> {
        if self.at < self.block.len() {
            return Ok(());
        }
        let length = self.checked_length()?;
        while self.at >= self.block.len() && (self.read < length || self.tail.len() > MAX_LINE) {
            self.fill()?;
        }
        Ok(())
    }

    /// Reads once: whatever ends in a line feed becomes the block, the rest the tail.
    fn fill(&mut self) -> Result<(), SourceError> {
        if self.tail.len() > MAX_LINE {
            return Err(self.too_long());
        }
        let searched = self.tail.len();
        self.tail.reserve_exact(BLOCK);
        let got = (&self.file).take(BLOCK as u64).read_to_end(&mut self.tail);
        // What came before an error is kept, so that nothing is read twice.
        self.read += (self.tail.len() - searched) as u64;
        self.split_whole_lines(searched)?;
        match got.map_err(|error| source_error(&self.path, &error))? {
            0 => Err(self.changed("was cut off while it was read")),
            _ => Ok(()),
        }
    }

    /// Makes the whole lines of the tail, whose first bytes are known to hold no line feed, the block.
    fn split_whole_lines(&mut self, searched: usize) -> Result<(), SourceError> {
        let new = &self.tail[searched..];
        let (Some(first), Some(last)) = (memchr::memchr(b'\n', new), memchr::memrchr(b'\n', new)) else {
            return Ok(());
        };
        // The lines after the first lie within one read, which is shorter than any line may be.
        if searched + first > MAX_LINE {
            return Err(self.too_long());
        }
        let whole = searched + last + 1;
        let rest = self.tail[whole..].to_vec();
        self.tail.truncate(whole);
        self.block = Arc::new(mem::replace(&mut self.tail, rest));
        self.at = 0;
        Ok(())
    }

    /// The file's length, if it is still the file that was opened and holds all that was read.
    fn checked_length(&self) -> Result<u64, SourceError> {
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(self.changed("is gone")),
            Err(error) => return Err(source_error(&self.path, &error)),
        };
        if identity(&metadata) != self.identity {
            return Err(self.changed("was replaced by another file"));
        }
        if metadata.len() < self.read.max(self.counted.bytes) {
            return Err(self.changed("became shorter"));
        }
        Ok(metadata.len())
    }

    fn changed(&self, what: &str) -> SourceError {
        SourceError::Unusable(format!(
            "{} {what} after its lines up to {} were read; a log only grows: bring the old lines back, or read the new \
             ones from the beginning after `sluice state reset`",
            self.path.display(),
            self.position
        ))
    }

    fn too_long(&self) -> SourceError {
        SourceError::Unusable(format!(
            "{}: line {} is longer than {MAX_LINE} bytes; split the record or remove the line",
            self.path.display(),
            self.position.next()
        ))
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}
