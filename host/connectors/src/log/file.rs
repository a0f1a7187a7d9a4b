//! A partition's file, read in blocks of whole lines.

use std::fs::{File, Metadata};
use std::io::Read;
use std::mem;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sluice_core::decode::is_whole_object;
use sluice_core::{Offset, Partition};
use xxhash_rust::xxh3::xxh3_128;

use super::records::LogRecords;
use super::{MAX_LINE, source_error};
use crate::regular;
use crate::source::SourceError;

/// Number of bytes that are read at once. Smaller blocks cost more calls and smaller batches; each partition holds one, and each
/// batch under way holds the blocks that its records are in.
const BLOCK: usize = 512 * 1024;

/// The bytes of a first line that tell a file from others. Less: lines that begin alike. More: it is read each second.
const IDENTIFYING: usize = 4096;

/// A partition's file and how far it is read.
pub(super) struct PartitionFile {
    partition: Partition,
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    /// The bytes of the file that were read, into the blocks and `tail`.
    read: u64,
    /// Block of whole lines; the lines from `at` on are not handed out yet.
    block: Arc<Vec<u8>>,
    at: usize,
    /// The beginning of a line whose end isn't read yet.
    tail: Vec<u8>,
    /// Number of the tail's bytes that were handed out as a line although its line feed is missing, since the record is whole; 0
    /// otherwise.
    taken: usize,
    /// Says whether the tail is to be handed out now.
    takes_tail: bool,
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
        let file = regular::open(&path).map_err(|error| source_error(&path, &error))?;
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
            taken: 0,
            takes_tail: false,
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
        // By itself: an answer has one interval of a partition.
        if self.takes_tail && added == 0 {
            self.take_tail(records)?;
        }
        Ok(())
    }

    /// Adds the last line, which has no line feed; as long as nothing was written after it.
    fn take_tail(&mut self, records: &mut LogRecords) -> Result<(), SourceError> {
        if self.taken > 0 || self.checked_length()? > self.read || !is_whole_object(&self.tail) {
            return Ok(());
        }
        self.takes_tail = false;
        let line = Arc::new([self.tail.as_slice(), b"\n"].concat());
        records.push_run(self.partition, self.position, &line, 0, 1);
        self.tail_is_taken();
        Ok(())
    }

    fn tail_is_taken(&mut self) {
        self.taken = self.tail.len();
        self.position = self.position.next();
    }

    /// Passes over lines until `target` is next or the file has no more whole line.
    pub fn skip_to(&mut self, target: Offset) -> Result<(), SourceError> {
        while self.position < target {
            self.fill_if_empty()?;
            let wanted = usize::try_from(target.0 - self.position.0).unwrap_or(usize::MAX);
            let ends = memchr::memchr_iter(b'\n', &self.block[self.at..]).take(wanted);
            let Some((passed, last)) = ends.enumerate().last() else {
                // The last line was taken before its line feed was there, and it still isn't.
                if self.position.next() == target && self.taken == 0 && is_whole_object(&self.tail) {
                    self.tail_is_taken();
                }
                return Ok(());
            };
            self.at += last + 1;
            self.position = self.position.advanced(passed + 1);
        }
        Ok(())
    }

    /// The number of whole lines that the file has now: the offset of the next line written.
    pub fn end(&mut self) -> Result<Offset, SourceError> {
        if self.read > self.counted.bytes {
            let waiting = memchr::memchr_iter(b'\n', &self.block[self.at..]).count();
            let ended = Offset(self.position.0 - i64::from(self.taken > 0));
            self.counted = Counted { bytes: self.read, lines: ended.advanced(waiting) };
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
        // A last line that was taken without its line feed counts.
        Ok(self.counted.lines.max(self.position))
    }

    /// The offset where the file ends for a reader who doesn't wait for more: a last line that is a whole record counts
    /// without its line feed, and is handed out. What a writer has written half is no whole record, and nothing that can
    /// follow a whole one makes it another.
    pub fn last_end(&mut self) -> Result<Offset, SourceError> {
        let (end, length) = (self.end()?, self.checked_length()?);
        if self.taken > 0 || length == 0 {
            return Ok(end);
        }
        let unfinished = self.unfinished(length)?;
        if unfinished.is_empty() {
            return Ok(end);
        }
        if !is_whole_object(&unfinished) {
            tracing::warn!(
                "{}: line {} has no line feed at its end and is no whole JSON object: it is not read",
                self.path.display(),
                end.next()
            );
            return Ok(end);
        }
        self.takes_tail = true;
        Ok(end.next())
    }

    /// Returns the last line of the file, whose length is `length`, if it has no line feed; none if it is longer than a line may
    /// be.
    fn unfinished(&self, length: u64) -> Result<Vec<u8>, SourceError> {
        let mut last = Vec::new();
        while (last.len() as u64) < length && last.len() <= MAX_LINE {
            let start = (length - last.len() as u64).saturating_sub(BLOCK as u64);
            let mut block = vec![0; BLOCK.min((length - last.len() as u64) as usize)];
            self.file.read_exact_at(&mut block, start).map_err(|error| source_error(&self.path, &error))?;
            let feed = memchr::memrchr(b'\n', &block);
            block.drain(..feed.map_or(0, |feed| feed + 1));
            block.append(&mut last);
            last = block;
            if feed.is_some() {
                break;
            }
        }
        Ok(last)
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
        self.pass_over_taken()
    }

    /// Passes over the line that was taken without its line feed. It is the block's first line now, and must not have changed.
    fn pass_over_taken(&mut self) -> Result<(), SourceError> {
        let taken = mem::take(&mut self.taken);
        if taken == 0 {
            return Ok(());
        }
        let end = memchr::memchr(b'\n', &self.block).unwrap_or(self.block.len());
        if self.block[taken..end].iter().any(|byte| !byte.is_ascii_whitespace()) {
            return Err(self.changed("was written on after its last line, which was whole but for the line feed,"));
        }
        self.at = end + 1;
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
